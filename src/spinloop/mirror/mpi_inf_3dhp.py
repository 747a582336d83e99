"""A mirror of MPI-INF-3DHP.

The training set has subjects before a green screen, recorded from all around; the test set has six sequences
before a green screen, in rooms and outdoors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from spinloop.datasets.matlab import mat5_bytes, write_mat73
from spinloop.datasets.mpi_inf_3dhp import MPI28_PLACES, N_CAMERAS, SEQUENCES, MpiRecording
from spinloop.datasets.mpi_inf_3dhp_test import ACTIVITIES, FOLDER
from spinloop.errors import UserError
from spinloop.joints import H36M17, JointSet
from spinloop.keypoints.noise import TrueJoints, inside_image, sample_detections
from spinloop.keypoints.openpose import detections_path, write_openpose
from spinloop.mirror.camera import Camera, sample_viewpoint
from spinloop.mirror.job import MirrorJob, run_tasks, truth_row
from spinloop.mirror.lab import LabCamera, captured_joints, green_screen, render_videos, sample_sequence
from spinloop.mirror.people import (
    BodySet,
    Identity,
    WorldPerson,
    place_person,
    sample_identity,
    sample_motion,
)
from spinloop.mirror.scene import Environment, render_scene, sample_environment, save_jpeg
from spinloop.params.mirror import MpiInf3dhpParams
from spinloop.tables.images import frame_name
from spinloop.tables.records import make_id

_TRAIN, _TEST = "mpi_inf_3dhp_train", "mpi_inf_3dhp_test"
_FITS = "mpi-inf-3dhp_mview_fits.npz"
_STREAM = 4  # second entry of every seed; every mirror has its own
# Third entries of the seeds of fits and detections; the laboratory has 0 to 2.
_FITTED, _DETECTOR, _TEST_SEQUENCE = 3, 4, 4
_RATE = 25.0
# The published preprocessing keeps one in ten of the frames that show all joints.
_EVERY = 10
# The 28 joints of the training set.
_JOINTS28: JointSet = (
    "smpl_spine3", "smpl_neck", "smpl_spine2", "spine", "pelvis", "neck", "jaw", "head", "smpl_left_collar",
    "left_shoulder", "left_elbow", "left_wrist", "smpl_left_hand", "smpl_right_collar", "right_shoulder",
    "right_elbow", "right_wrist", "smpl_right_hand", "left_hip", "left_knee", "left_ankle", "smpl_left_foot",
    "op_left_big_toe", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe",
)  # fmt: skip
_USED = list(MPI28_PLACES.values())
# The 17 joints of the test set.
_JOINTS17: JointSet = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis",
    "spine", "jaw",
)  # fmt: skip
_TEST_SEQUENCES = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
_GREEN, _OUTDOORS = ("TS1", "TS2"), ("TS5", "TS6")
_TEST_RADIUS_M = 0.4
_ACTIVITIES_EACH = 3
# From the knees to the neck, the size of the universal skeleton.
_UNIVERSAL_M = 0.92


class TrainTask(NamedTuple):
    """One sequence of one subject, to be rendered."""

    subject: str
    sequence: str
    number: int
    """Among all sequences."""
    root: Path


class _TrainFrame(NamedTuple):
    """One frame of one camera."""

    image: str
    """Path of the frame."""
    is_whole: bool
    """All joints that are used lie on the picture."""
    joints: TrueJoints
    truth: dict[str, Any]


def write_mpi_train(job: MirrorJob[MpiInf3dhpParams], root: Path, openpose: Path) -> list[dict[str, Any]]:
    """Render the training sequences, and write OpenPose's files and the multi-view fits of the used frames.

    Args:
        job: the section `mirror_mpi_inf_3dhp`, the neutral body, the distribution of poses.
        root: folder of the mirror.
        openpose: folder of OpenPose's files.

    Returns:
        The rows of the truth: every tenth of the frames that show all joints, counted over all videos.

    Raises:
        UserError: there is no such frame.
    """
    for folder in (root, openpose):
        folder.mkdir()
    params, train = job.params, job.params.train
    sequences = [(subject, sequence) for subject in train.subjects for sequence in SEQUENCES]
    tasks = [TrainTask(*names, number, root) for number, names in enumerate(sequences)]
    size = train.lab.side_px, train.lab.side_px
    rng = np.random.default_rng([params.seed, _STREAM, _DETECTOR])
    n_whole, rows = 0, list[dict[str, Any]]()
    for frames in run_tasks(job, _render_train, tasks, _TRAIN):
        whole = [frame for frame in frames if frame.is_whole]
        for number, frame in enumerate(whole, n_whole):
            if number % _EVERY == 0:
                detections = sample_detections([frame.joints], size, train.detector, rng)
                write_openpose(detections_path(openpose, frame.image), detections)
                rows.append(frame.truth)
        n_whole += len(whole)
    if not rows:
        raise UserError("mirror_mpi_inf_3dhp.train: no picture shows all joints; raise lab.distance_m.low")
    _write_fits(root / _FITS, rows, params)
    return rows


def _render_train(job: MirrorJob[MpiInf3dhpParams], task: TrainTask) -> list[_TrainFrame]:
    """Render one sequence, write its annotation and its cameras; frames of one camera after the other."""
    train, bodies = job.params.train, job.read_inputs()[0]
    subject = train.subjects.index(task.subject)
    sequence = sample_sequence(job, train, _STREAM, subject, task.number, N_CAMERAS, is_green=True)
    world = np.stack([captured_joints(bodies, person, _JOINTS28) for person in sequence.people])
    world = world[list(sequence.steps)]
    folder = task.root / task.subject / task.sequence
    folder.mkdir(parents=True)
    universal = universal_factor(bodies, sequence.identity)
    (folder / "annot.mat").write_bytes(_train_annotation(world, sequence.cameras, universal))
    (folder / "camera.calibration").write_text(_calibration(sequence.cameras))
    takes = [MpiRecording(task.subject, task.sequence, view) for view in train.views]
    cameras = [sequence.cameras[view] for view in train.views]
    views = render_videos(
        sequence, bodies, cameras, [task.root / take.video for take in takes], "MJPG", _RATE
    )
    frames = []
    for take, view in zip(takes, views, strict=True):
        for frame, (step, joints) in enumerate(zip(sequence.steps, world, strict=True)):
            image = frame_name(take.video, frame)
            truth = truth_row(make_id(_TRAIN, image, 0), view.people[step], view.camera)
            is_whole = _shows_all(view.camera, view.camera.to_camera(joints[_USED]))
            frames.append(_TrainFrame(image, is_whole, view.joints[step].openpose, truth))
    return frames


def _shows_all(camera: Camera, joints: Float[np.ndarray, "J 3"]) -> bool:
    return bool(inside_image(camera.project(joints), camera.size).all())


def _train_annotation(
    world: Float[np.ndarray, "F 28 3"], cameras: Sequence[LabCamera], universal: float
) -> bytes:
    """`annot.mat`: columns of 14 cells, frames × numbers, px and mm."""
    n_frames = len(world)
    pixels, metric = [], []
    for camera, _ in cameras:
        joints = np.stack([camera.to_camera(frame) for frame in world])
        pixels.append(np.stack([camera.project(frame) for frame in joints]).reshape(n_frames, -1))
        metric.append((1000 * joints).reshape(n_frames, -1))
    return mat5_bytes(
        {
            "annot2": pixels,
            "annot3": metric,
            "univ_annot3": [universal * part for part in metric],
            "cameras": np.arange(len(cameras), dtype=np.int32)[None],
            "frames": np.arange(n_frames, dtype=np.int32)[:, None],
        }
    )


def _calibration(cameras: Sequence[LabCamera]) -> str:
    """`camera.calibration`: a header line, then seven lines for each camera; millimetres."""
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, (camera, _) in enumerate(cameras):
        intrinsic, extrinsic = np.eye(4), np.eye(4)
        intrinsic[[0, 1], [0, 1]], intrinsic[:2, 2] = camera.focal_px, camera.center_px
        extrinsic[:3, :3], extrinsic[:3, 3] = camera.rotation, 1000 * camera.translation
        height, width = camera.size
        lines += [
            f"name          {number}",
            "  sensor      10 10",
            f"  size        {width} {height}",
            "  animated    0",
            f"  intrinsic   {_numbers(intrinsic)} ",
            f"  extrinsic   {_numbers(extrinsic)} ",
            "  radial      0",
        ]
    return "\n".join(lines) + "\n"


def _numbers(matrix: Float[np.ndarray, "4 4"]) -> str:
    return " ".join(f"{number:.9g}" for number in matrix.ravel())


def _write_fits(path: Path, rows: Sequence[dict[str, Any]], params: MpiInf3dhpParams) -> None:
    """SMPL parameters in the order of the rows, as SPIN's static fits have them."""
    rng = np.random.default_rng([params.seed, _STREAM, _FITTED])
    has_smpl = rng.random(len(rows)) < params.train.fitted
    pose, betas = (np.stack([row[key] for row in rows]).astype(np.float64) for key in ("pose", "betas"))
    pose, betas = pose * has_smpl[:, None], betas * has_smpl[:, None]
    np.savez(path, pose=pose, shape=betas, has_smpl=has_smpl.astype(np.float64))


def universal_factor(bodies: BodySet, identity: Identity) -> float:
    """Factor that scales a person to the size of the universal skeleton."""
    model = bodies.models[identity.gender]
    with torch.no_grad():
        vertices = model.vertices(torch.zeros(1, 72), torch.tensor(identity.betas)[None])
        joints = dict(zip(H36M17, model.regress_h36m(vertices)[0].double().numpy(), strict=True))
    trunk = np.linalg.norm(joints["neck"] - joints["pelvis"])
    return float(_UNIVERSAL_M / (trunk + np.linalg.norm(joints["left_hip"] - joints["left_knee"])))


def write_mpi_test(job: MirrorJob[MpiInf3dhpParams], root: Path) -> list[dict[str, Any]]:
    """Render the test sequences; returns the rows of the truth: frames that are valid and show all joints."""
    tasks = [(name, root / FOLDER / name) for name in _TEST_SEQUENCES]
    return [row for rows in run_tasks(job, _render_test, tasks, _TEST) for row in rows]


def _render_test(job: MirrorJob[MpiInf3dhpParams], task: tuple[str, Path]) -> list[dict[str, Any]]:
    """Render one sequence, write its pictures and its annotation."""
    (name, folder), (bodies, mixture) = task, job.read_inputs()
    params, test, number = job.params, job.params.test, _TEST_SEQUENCES.index(name)
    rng = np.random.default_rng([params.seed, _STREAM, _TEST_SEQUENCE, number])
    identity = sample_identity(rng, bodies, params.people)
    states = sample_motion(
        rng, mixture, test.n_frames, test.frames_per_pose, params.people, radius_m=_TEST_RADIUS_M
    )
    people = [place_person(bodies, identity, state) for state in states]
    camera, environment = _sample_test_place(params, name, people[0], rng)
    pictures = folder / "imageSequence"
    pictures.mkdir(parents=True)
    is_valid = rng.random(test.n_frames) >= test.not_valid
    joints = np.stack([camera.to_camera(captured_joints(bodies, person, _JOINTS17)) for person in people])
    rows = []
    for index, person in enumerate(people):
        scene = environment.scene(camera, (person,))
        picture = render_scene(scene, bodies, rng)
        image = f"img_{index + 1:06d}.jpg"
        save_jpeg(pictures / image, picture.image, test.picture, rng)
        if is_valid[index] and _shows_all(camera, joints[index]):
            key = make_id(_TEST, f"{FOLDER}/{name}/imageSequence/{image}", 0)
            rows.append(truth_row(key, scene.people[0], camera))
    annotation = _test_annotation(joints, camera, universal_factor(bodies, identity))
    annotation["valid_frame"] = is_valid[None].astype(np.float64)
    annotation["activity_annotation"] = _activities(number, test.n_frames)[None]
    write_mat73(folder / "annot_data.mat", annotation)
    return rows


def _sample_test_place(
    params: MpiInf3dhpParams, name: str, person: WorldPerson, rng: np.random.Generator
) -> tuple[Camera, Environment]:
    """A static camera and its environment."""
    test, is_outdoors = params.test, name in _OUTDOORS
    height = test.picture.short_side_px
    size = (height, test.picture.long_side_px if is_outdoors else height)
    camera = sample_viewpoint(rng, test.camera, size, person.middle).camera(size)
    environment = sample_environment(rng, test.picture, camera, person.middle)
    distance = np.inf if is_outdoors else rng.uniform(1.5, 4.0)
    background = environment.background._replace(wall_distance_m=distance)
    if name in _GREEN:
        background = green_screen(background)
    return camera, environment._replace(background=background)


def _test_annotation(
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
