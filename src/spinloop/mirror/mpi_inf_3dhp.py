"""A mirror of MPI-INF-3DHP's training set: subjects before a green screen, filmed from all around."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.annotations.mpi_inf_3dhp import MPI28_PLACES, N_CAMERAS, SEQUENCES, Take
from spinloop.annotations.openpose import detections_path
from spinloop.annotations.record import make_id
from spinloop.annotations.video import frame_name
from spinloop.errors import UserError
from spinloop.mirror.camera import Camera
from spinloop.mirror.captured import MPI28, captured_joints, universal_factor
from spinloop.mirror.detector import Seen, detect, write_openpose
from spinloop.mirror.lab import LabView, act, film, sample_lab, step_of
from spinloop.mirror.matlab import mat5_bytes
from spinloop.mirror.people import before_camera, sample_character
from spinloop.mirror.pool import Studio, open_studio, run_pieces
from spinloop.mirror.truth import truth_row
from spinloop.mirror.visibility import inside_image
from spinloop.params.mirror_lab import MpiInf3dhpParams

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
