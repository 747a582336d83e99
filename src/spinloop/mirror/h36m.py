"""A mirror of Human3.6M: actions of several subjects before four calibrated cameras, with poses and boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cdflib.cdfwrite import CDF
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from spinloop.datasets.h36m import CAMERAS, Recording
from spinloop.datasets.matlab import write_mat73
from spinloop.keypoints.openpose import detections_path
from spinloop.keypoints.simulated import detect, write_openpose
from spinloop.mirror.camera import Camera
from spinloop.mirror.lab import H36M32, act, captured_joints, film, sample_lab, step_of
from spinloop.mirror.people import Person, Stance, before_camera, sample_character, truth_row
from spinloop.mirror.photographs import Studio, open_studio, run_pieces
from spinloop.mirror.pw3d import dumps_python2
from spinloop.mirror.scene import Marks
from spinloop.params.mirror import DetectorParams, H36mParams
from spinloop.tables.images import frame_name
from spinloop.tables.records import make_id

TRAIN, TEST, TEST_FRONTAL = "h36m_train", "h36m_p1", "h36m_p2"
FRONTAL = CAMERAS[-1]
MOSH = "mosh"
_MIRROR = 3  # second entry of every seed; no other mirror has it
_LAB, _SUBJECT, _ACTION, _DETECTOR = 0, 1, 2, 3
_RATE = 50.0
# Whoever uses the dataset keeps one frame in five; MoSh has parameters for these, and OpenPose saw them.
_EVERY = 5
_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
)  # fmt: skip
_UPSIDE_DOWN = Rotation.from_rotvec([np.pi, 0.0, 0.0])


class Performance(NamedTuple):
    """One subject's action, to be filmed."""

    subject: str
    action: str
    number: int
    """Among all performances."""
    is_test: bool
    params: H36mParams
    studio: Studio
    root: Path
    openpose: Path
    """Folder of the detections."""


class _Shot(NamedTuple):
    """What one camera saw of a performance, frame by frame."""

    recording: Recording
    camera: Camera
    people: tuple[Person, ...]
    """By step."""
    marks: Sequence[Marks]
    """By step."""
    joints: Float[np.ndarray, "F 32 3"]
    """Camera axes, metres."""
    shown: tuple[int, ...]
    """The step of each frame."""


def performances(params: H36mParams, studio: Studio, root: Path, openpose: Path) -> list[Performance]:
    """What is filmed; each subject has actions of its own, some with a number as in the original."""
    found = []
    groups = ((params.train_subjects, params.train_actions), (params.test_subjects, params.test_actions))
    for is_test, (subjects, n_actions) in enumerate(groups):
        for subject in subjects:
            for _ in range(n_actions):
                number = len(found)
                name = _ACTIONS[number % len(_ACTIONS)] + (" 1" if number % 2 else "")
                found.append(
                    Performance(subject, name, number, bool(is_test), params, studio, root, openpose)
                )
    return found


def write_h36m(
    params: H36mParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Film everything.

    Args:
        params: the section `mirror_h36m`.
        studio: the neutral body, as MoSh's parameters are of it, and the pose mixture.
        root: root of the mirror; it exists.
        openpose: folder of the detections of training frames; it exists.
        workers: processes.

    Yields:
        The rows of the truth of one performance, by split.
    """
    yield from run_pieces(make_performance, performances(params, studio, root, openpose), workers)


def make_performance(task: Performance) -> dict[str, list[dict[str, Any]]]:
    """Film one action with all cameras and write its files."""
    cast, mixture = open_studio(task.studio)
    params, seed = task.params, [task.params.seed, _MIRROR]
    views = sample_lab(np.random.default_rng([*seed, _LAB]), params.lab, len(CAMERAS), is_green=False)
    subjects = [*params.train_subjects, *params.test_subjects]
    who = np.random.default_rng([*seed, _SUBJECT, subjects.index(task.subject)])
    character = sample_character(who, sorted(cast.files), params.people)
    rng = np.random.default_rng([*seed, _ACTION, task.number])
    shown = tuple(step_of(frame, params.steps.frames_per_step) for frame in range(params.n_frames))
    stances = act(
        cast, character, mixture, shown[-1] + 1, params.steps, params.people, params.lab.radius_m, rng
    )
    recordings = [Recording(task.subject, task.action, camera) for camera in CAMERAS]
    videos = [task.root / recording.file("Videos", ".mp4") for recording in recordings]
    marks = film(videos, "mp4v", _RATE, views, cast, stances, shown, rng)
    world = np.stack([captured_joints(cast, stance, H36M32) for stance in stances])
    has_mosh = not task.is_test and rng.random() >= params.mosh_missing
    detector = np.random.default_rng([*seed, _DETECTOR, task.number])
    rows: dict[str, list[dict[str, Any]]] = {}
    for recording, view, seen in zip(recordings, views, marks, strict=True):
        shot = _shoot(recording, view.camera, stances, seen, world, shown)
        _write_annotations(task.root, shot, params.box_room)
        if not task.is_test:
            _write_detections(task.openpose, shot, params.detector, detector)
        if has_mosh:
            _write_mosh(task.root, shot)
        for split in _splits(task.is_test, recording.camera):
            rows.setdefault(split, []).extend(_truth(split, shot))
    return rows


def _splits(is_test: bool, camera: str) -> tuple[str, ...]:
    if not is_test:
        return (TRAIN,)
    return (TEST, TEST_FRONTAL) if camera == FRONTAL else (TEST,)


def _shoot(
    recording: Recording,
    camera: Camera,
    stances: Sequence[Stance],
    marks: Sequence[Marks],
    world: Float[np.ndarray, "S 32 3"],
    shown: tuple[int, ...],
) -> _Shot:
    people = tuple(before_camera(stance, camera) for stance in stances)
    joints = np.stack([camera.to_camera(world[step]) for step in shown])
    return _Shot(recording, camera, people, marks, joints, shown)


def _write_annotations(root: Path, shot: _Shot, room: float) -> None:
    recording, n_frames = shot.recording, len(shot.joints)
    pixels = np.stack([shot.camera.project(joints) for joints in shot.joints])
    folder = "MyPoseFeatures/"
    _write_cdf(root / recording.file(f"{folder}D3_Positions_mono", ".cdf"), 1000 * shot.joints)
    _write_cdf(root / recording.file(f"{folder}D2_Positions", ".cdf"), pixels)
    path = root / recording.file("MySegmentsMat/ground_truth_bb", ".mat")
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = [_box_mask(person, shot.camera, room) for person in shot.people]
    write_mat73(path, {"Masks": [masks[shot.shown[frame]] for frame in range(n_frames)]})


def _write_cdf(path: Path, joints: Float[np.ndarray, "F 32 D"]) -> None:
    """Poses as the original stores them: single precision, 1 × frames × numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    poses = joints.reshape(1, len(joints), -1).astype(np.float32)
    specification = {
        "Variable": "Pose", "Data_Type": CDF.CDF_REAL4, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(poses.shape[1:]), "Compress": 0,
    }  # fmt: skip
    with CDF(path, cdf_spec={"Encoding": CDF.IBMPC_ENCODING, "Majority": "row_major"}) as file:
        file.write_var(specification, var_data=poses)


def _box_mask(person: Person, camera: Camera, room: float) -> UInt8[np.ndarray, "H W"]:
    """Ones in a box around the person's outline, as far as the picture shows it."""
    pixels = camera.project(person.vertices)
    middle, half = (pixels.max(0) + pixels.min(0)) / 2, room * np.ptp(pixels, axis=0) / 2
    height, width = camera.size
    low = np.clip(np.floor(middle - half), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(middle + half), 0, [width, height]).astype(int)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[low[1] : high[1], low[0] : high[0]] = 1
    return mask


def _write_detections(folder: Path, shot: _Shot, params: DetectorParams, rng: np.random.Generator) -> None:
    """What OpenPose says of the frames that are used."""
    for frame in _kept(shot):
        detections = detect([shot.marks[shot.shown[frame]].openpose], shot.camera.size, params, rng)
        write_openpose(detections_path(folder, _image(shot, frame)), detections)


def _write_mosh(root: Path, shot: _Shot) -> None:
    """SMPL parameters as they went round with HMR: every fifth frame, the root turned upside down."""
    poses = np.stack([shot.people[shot.shown[frame]].pose for frame in _kept(shot)]).astype(np.float64)
    poses[:, :3] = (Rotation.from_rotvec(poses[:, :3]) * _UPSIDE_DOWN.inv()).as_rotvec()
    recording = shot.recording
    name = f"{recording.action}_cam{CAMERAS.index(recording.camera)}_aligned.pkl"
    path = root / MOSH / recording.subject / name
    path.parent.mkdir(parents=True, exist_ok=True)
    betas = shot.people[0].character.betas.astype(np.float64)
    path.write_bytes(dumps_python2({"new_poses": poses, "betas": betas}))


def _kept(shot: _Shot) -> range:
    return range(0, len(shot.shown), _EVERY)


def _image(shot: _Shot, frame: int) -> str:
    return frame_name(shot.recording.file("Videos", ".mp4"), frame)


def _truth(split: str, shot: _Shot) -> list[dict[str, Any]]:
    return [
        truth_row(make_id(split, _image(shot, frame), 0), shot.people[shot.shown[frame]], shot.camera)
        for frame in _kept(shot)
    ]
