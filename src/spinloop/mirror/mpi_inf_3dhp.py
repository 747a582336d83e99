"""A mirror of MPI-INF-3DHP's training set: subjects before a green screen, filmed from all around.

A mirror of MPI-INF-3DHP's test set: six sequences, before a green screen, in rooms and outdoors.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.datasets.matlab import mat5_bytes, write_mat73
from spinloop.datasets.mpi_inf_3dhp import MPI28_PLACES, N_CAMERAS, SEQUENCES, Take
from spinloop.datasets.mpi_inf_3dhp_test import ACTIVITIES, FOLDER
from spinloop.errors import UserError
from spinloop.keypoints.openpose import detections_path
from spinloop.keypoints.simulated import Seen, detect, inside_image, write_openpose
from spinloop.mirror.camera import Camera, sample_view
from spinloop.mirror.lab import (
    MPI17,
    MPI28,
    LabView,
    act,
    captured_joints,
    film,
    green_screen,
    kept_near,
    sample_lab,
    step_of,
    universal_factor,
)
from spinloop.mirror.people import (
    Cast,
    Stance,
    before_camera,
    sample_character,
    sample_motion,
    stand,
    truth_row,
)
from spinloop.mirror.photographs import Studio, open_studio, run_pieces
from spinloop.mirror.scene import Setting, draw, middle_of, sample_setting
from spinloop.params.mirror import MpiInf3dhpParams
from spinloop.tables.images import encode_jpeg, frame_name
from spinloop.tables.records import make_id

SPLIT = "mpi_inf_3dhp_train"
FITS = "mpi-inf-3dhp_mview_fits.npz"
MIRROR = 4  # second entry of every seed; no other mirror has it
_LAB, _SUBJECT, _SEQUENCE, _FITTED, _DETECTOR = 0, 1, 2, 3, 4
_RATE = 25.0
# Whoever uses the dataset keeps one in ten of the frames that show all joints.
_EVERY = 10
_USED = list(MPI28_PLACES.values())


class Performance(NamedTuple):
    """One sequence of one subject, to be filmed."""

    subject: str
    sequence: str
    number: int
    """Among all sequences."""
    params: MpiInf3dhpParams
    studio: Studio
    root: Path


class Shown(NamedTuple):
    """One frame as one camera filmed it."""

    image: str
    """Path of the frame."""
    is_whole: bool
    """All joints that are used lie on the picture."""
    seen: Seen
    truth: dict[str, Any]


def write_train(
    params: MpiInf3dhpParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Film everything, and write the detections and fits that a user would have of it.

    Args:
        params: the section `mirror_mpi_inf_3dhp`.
        studio: the neutral body, as the fits are of it, and the pose mixture.
        root: root of the mirror; it exists.
        openpose: folder of the detections; it exists.
        workers: processes.

    Yields:
        The rows of the truth of one performance: every tenth of the frames that show all joints, counted over
        all videos.

    Raises:
        UserError: there is no such frame.
    """
    takes = [(subject, sequence) for subject in params.train.subjects for sequence in SEQUENCES]
    tasks = [Performance(*take, number, params, studio, root) for number, take in enumerate(takes)]
    size = (params.train.lab.side_px, params.train.lab.side_px)
    n_whole, kept = 0, list[dict[str, Any]]()
    rng = np.random.default_rng([params.seed, MIRROR, _DETECTOR])
    for filmed in run_pieces(make_performance, tasks, workers):
        whole = [frame for frame in filmed if frame.is_whole]
        used = [frame for number, frame in enumerate(whole, n_whole) if number % _EVERY == 0]
        for frame in used:
            detections = detect([frame.seen], size, params.train.detector, rng)
            write_openpose(detections_path(openpose, frame.image), detections)
        rows = [frame.truth for frame in used]
        n_whole += len(whole)
        kept += rows
        yield rows
    if not kept:
        raise UserError("mirror_mpi_inf_3dhp.train: no picture shows all joints; raise lab.distance_m.low")
    _write_fits(root / FITS, kept, params)


def make_performance(task: Performance) -> list[Shown]:
    """Film one sequence and write its annotation and its cameras; frames in the order of views and frames."""
    cast, mixture = open_studio(task.studio)
    params, train, seed = task.params, task.params.train, [task.params.seed, MIRROR]
    views = sample_lab(np.random.default_rng([*seed, _LAB]), train.lab, N_CAMERAS, is_green=True)
    who = np.random.default_rng([*seed, _SUBJECT, train.subjects.index(task.subject)])
    character = sample_character(who, sorted(cast.files), params.people)
    rng = np.random.default_rng([*seed, _SEQUENCE, task.number])
    shown = tuple(step_of(frame, train.steps.frames_per_step) for frame in range(train.n_frames))
    stances = act(
        cast, character, mixture, shown[-1] + 1, train.steps, params.people, train.lab.radius_m, rng
    )
    world = np.stack([captured_joints(cast, stance, MPI28) for stance in stances])[list(shown)]
    folder = task.root / task.subject / task.sequence
    folder.mkdir(parents=True)
    (folder / "annot.mat").write_bytes(_annotation(world, views, universal_factor(cast, character)))
    (task.root / task.subject / task.sequence / "camera.calibration").write_text(_calibration(views))
    takes = [Take(task.subject, task.sequence, view) for view in train.views]
    chosen = [views[view] for view in train.views]
    videos = [task.root / take.video for take in takes]
    marks = film(videos, "MJPG", _RATE, chosen, cast, stances, shown, rng)
    filmed = []
    for take, view, seen in zip(takes, chosen, marks, strict=True):
        people = [before_camera(stance, view.camera) for stance in stances]
        for frame, (step, joints) in enumerate(zip(shown, world, strict=True)):
            image = frame_name(take.video, frame)
            truth = truth_row(make_id(SPLIT, image, 0), people[step], view.camera)
            filmed.append(Shown(image, _shows_all(view.camera, joints), seen[step].openpose, truth))
    return filmed


def _shows_all(camera: Camera, joints: Float[np.ndarray, "28 3"]) -> bool:
    pixels = camera.project(camera.to_camera(joints[_USED]))
    return bool(inside_image(pixels, camera.size).all())


def _annotation(world: Float[np.ndarray, "F 28 3"], views: Sequence[LabView], universal: float) -> bytes:
    """`annot.mat`: columns of 14 cells, frames × numbers, px and mm."""
    joints = [np.stack([view.camera.to_camera(frame) for frame in world]) for view in views]
    pixels = [
        np.stack([view.camera.project(frame) for frame in seen])
        for view, seen in zip(views, joints, strict=True)
    ]
    metric = [1000 * seen for seen in joints]
    n_frames = len(world)
    return mat5_bytes(
        {
            "annot2": [part.reshape(n_frames, -1) for part in pixels],
            "annot3": [part.reshape(n_frames, -1) for part in metric],
            "univ_annot3": [universal * part.reshape(n_frames, -1) for part in metric],
            "cameras": np.arange(len(views), dtype=np.int32)[None],
            "frames": np.arange(n_frames, dtype=np.int32)[:, None],
        }
    )


def _calibration(views: Sequence[LabView]) -> str:
    """`camera.calibration`: a line of its own, then seven for each camera; millimetres."""
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, view in enumerate(views):
        camera = view.camera
        inner, outer = np.eye(4), np.eye(4)
        inner[[0, 1], [0, 1]], inner[:2, 2] = camera.focal_px, camera.center_px
        outer[:3, :3], outer[:3, 3] = camera.rotation, 1000 * camera.translation
        height, width = camera.size
        lines += [
            f"name          {number}",
            "  sensor      10 10",
            f"  size        {width} {height}",
            "  animated    0",
            f"  intrinsic   {_numbers(inner)} ",
            f"  extrinsic   {_numbers(outer)} ",
            "  radial      0",
        ]
    return "\n".join(lines) + "\n"


def _numbers(matrix: Float[np.ndarray, "4 4"]) -> str:
    return " ".join(f"{number:.9g}" for number in matrix.ravel())


def _write_fits(path: Path, rows: Sequence[dict[str, Any]], params: MpiInf3dhpParams) -> None:
    """SMPL parameters in the order of the rows, as SPIN's static fits have them."""
    rng = np.random.default_rng([params.seed, MIRROR, _FITTED])
    has_smpl = rng.random(len(rows)) < params.train.fitted
    pose, betas = (np.stack([row[key] for row in rows]).astype(np.float64) for key in ("pose", "betas"))
    pose, betas = pose * has_smpl[:, None], betas * has_smpl[:, None]
    np.savez(path, pose=pose, shape=betas, has_smpl=has_smpl.astype(np.float64))


TEST_SPLIT = "mpi_inf_3dhp_test"
TEST_SEQUENCES = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
_GREEN, _OUTDOORS = ("TS1", "TS2"), ("TS5", "TS6")
_TEST = 4  # third entry of every seed; the training part has 0 to 3
_RADIUS_M = 0.4
_ACTIVITIES_EACH = 3


class TestPerformance(NamedTuple):
    """One sequence to be filmed."""

    name: str
    params: MpiInf3dhpParams
    studio: Studio
    root: Path


def write_test(
    params: MpiInf3dhpParams, studio: Studio, root: Path, workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Film all sequences.

    Args:
        params: the section `mirror_mpi_inf_3dhp`.
        studio: the body and the pose mixture.
        root: root of the mirror; it exists.
        workers: processes.

    Yields:
        The rows of the truth of one sequence: frames that are valid and show all joints.
    """
    tasks = [TestPerformance(name, params, studio, root) for name in TEST_SEQUENCES]
    yield from run_pieces(make_sequence, tasks, workers)


def make_sequence(task: TestPerformance) -> list[dict[str, Any]]:
    """Draw one sequence, write its pictures and its annotation."""
    cast, mixture = open_studio(task.studio)
    params, test, number = task.params, task.params.test, TEST_SEQUENCES.index(task.name)
    rng = np.random.default_rng([params.seed, MIRROR, _TEST, number])
    character = sample_character(rng, sorted(cast.files), params.people)
    n_poses = max(2, 1 + round(test.n_frames / test.frames_per_pose))
    poses = mixture.sample(n_poses, rng)
    motion = sample_motion(rng, poses, test.n_frames, np.zeros(2), params.people)
    stances = [
        stand(cast, character, moment.root, moment.body, kept_near(moment, _RADIUS_M)) for moment in motion
    ]
    camera, setting = _sample_place(task, stances[0], rng)
    pictures = task.root / FOLDER / task.name / "imageSequence"
    pictures.mkdir(parents=True)
    is_valid = rng.random(test.n_frames) >= test.not_valid
    joints = np.stack([camera.to_camera(captured_joints(cast, stance, MPI17)) for stance in stances])
    rows = []
    for index, stance in enumerate(stances):
        image, row = _draw(cast, camera, setting, stance, test.picture.jpeg_quality.bounds, rng)
        name = f"img_{index + 1:06d}.jpg"
        (pictures / name).write_bytes(image)
        if is_valid[index] and inside_image(camera.project(joints[index]), camera.size).all():
            key = f"{FOLDER}/{task.name}/imageSequence/{name}"
            rows.append({**row, "id": make_id(TEST_SPLIT, key, 0)})
    content = _annotation_mpi_inf_3dhp_test(joints, camera, universal_factor(cast, character))
    write_mat73(
        pictures.parent / "annot_data.mat",
        {
            **content,
            "valid_frame": is_valid[None].astype(np.float64),
            "activity_annotation": _activities(number, test.n_frames)[None],
        },
    )
    return rows


def _sample_place(task: TestPerformance, first: Stance, rng: np.random.Generator) -> tuple[Camera, Setting]:
    """A camera that does not move, and what lies around."""
    test = task.params.test
    height = test.picture.short_side_px
    width = test.picture.long_side_px if task.name in _OUTDOORS else height
    camera = sample_view(rng, test.camera, (height, width), middle_of(first)).camera((height, width))
    setting = sample_setting(rng, test.picture, camera, middle_of(first))
    distance = np.inf if task.name in _OUTDOORS else rng.uniform(1.5, 4.0)
    background = setting.background._replace(wall_distance_m=distance)
    if task.name in _GREEN:
        background = green_screen(background)
    return camera, setting._replace(background=background)


def _draw(
    cast: Cast,
    camera: Camera,
    setting: Setting,
    stance: Stance,
    quality: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[bytes, dict[str, Any]]:
    """A picture's file, and the row of its truth without a name."""
    scene = setting.scene(camera, (stance,))
    picture = draw(scene, cast, rng)
    row = truth_row("", scene.people[0], camera)
    return encode_jpeg(picture.image, round(rng.uniform(*quality))), row


def _annotation_mpi_inf_3dhp_test(
    joints: Float[np.ndarray, "F 17 3"], camera: Camera, universal: float
) -> dict[str, np.ndarray]:
    """Arrays in MATLAB's order of axes: numbers × joints × 1 × frames."""
    pixels = np.stack([camera.project(frame) for frame in joints])
    metric = 1000 * joints
    parts = {"annot2": pixels, "annot3": metric, "univ_annot3": universal * metric}
    return {key: part[:, None].T for key, part in parts.items()}


def _activities(number: int, n_frames: int) -> Float[np.ndarray, " F"]:
    """Numbers from 1, some in each sequence, all over the six."""
    part = np.arange(n_frames) * _ACTIVITIES_EACH // n_frames
    return (1.0 + (_ACTIVITIES_EACH * number + part) % len(ACTIVITIES)).astype(np.float64)
