"""A mirror of Human3.6M: actions of several subjects before four calibrated cameras, with poses and boxes."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cdflib.cdfwrite import CDF
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from spinloop.datasets.h36m import CAMERAS, H36mRecording
from spinloop.datasets.matlab import write_mat73
from spinloop.joints import JointSet
from spinloop.keypoints.noise import sample_detections
from spinloop.keypoints.openpose import detections_path, write_openpose
from spinloop.mirror.camera import Camera
from spinloop.mirror.job import MirrorJob, run_tasks, truth_row
from spinloop.mirror.lab import LabView, captured_joints, render_videos, sample_sequence
from spinloop.mirror.people import CameraPerson
from spinloop.mirror.pw3d import dumps_python2
from spinloop.params.mirror import DetectorParams, H36mParams
from spinloop.tables.images import frame_name
from spinloop.tables.records import make_id

TRAIN, TEST, TEST_FRONTAL = "h36m_train", "h36m_p1", "h36m_p2"
_FRONTAL = CAMERAS[-1]
_MOSH = "mosh"
_STREAM = 3  # second entry of every seed; every mirror has its own
_DETECTOR = 3
_RATE = 50.0
# The published preprocessing keeps one frame in five; MoSh's parameters and OpenPose's files are of these.
_EVERY = 5
_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
)  # fmt: skip
# Human3.6M's 32 joints; several coincide, as in the original.
_JOINTS32: JointSet = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe", "left_hip",
    "left_knee", "left_ankle", "smpl_left_foot", "op_left_big_toe", "pelvis", "spine", "neck", "jaw", "head",
    "neck", "left_shoulder", "left_elbow", "left_wrist", "left_wrist", "smpl_left_hand", "left_wrist",
    "smpl_left_hand", "neck", "right_shoulder", "right_elbow", "right_wrist", "right_wrist",
    "smpl_right_hand", "right_wrist", "smpl_right_hand",
)  # fmt: skip
_UPSIDE_DOWN = Rotation.from_rotvec([np.pi, 0.0, 0.0])

TruthBySplit = dict[str, list[dict[str, Any]]]


class ActionTask(NamedTuple):
    """One subject's action, to be rendered."""

    subject: str
    action: str
    number: int
    """Among all actions."""
    is_test: bool
    root: Path
    openpose: Path


class _Video(NamedTuple):
    """One camera's video of an action."""

    recording: H36mRecording
    view: LabView
    joints: Float[np.ndarray, "F 32 3"]
    """Camera axes, metres."""
    steps: tuple[int, ...]
    """The step of each frame."""

    @property
    def used_frames(self) -> range:
        """The frames that the published preprocessing keeps."""
        return range(0, len(self.steps), _EVERY)

    def image(self, frame: int) -> str:
        """Path of a frame."""
        return frame_name(self.recording.file("Videos", ".mp4"), frame)


def write_h36m(job: MirrorJob[H36mParams], root: Path, openpose: Path) -> TruthBySplit:
    """Render the mirror.

    Args:
        job: the section `mirror_h36m`, the neutral body, the distribution of poses.
        root: folder of the mirror.
        openpose: folder of OpenPose's files of the training frames.

    Returns:
        The rows of the truth of each split.
    """
    for folder in (root, openpose):
        folder.mkdir()
    truth: TruthBySplit = {TRAIN: [], TEST: [], TEST_FRONTAL: []}
    for rows in run_tasks(job, _render_action, _tasks(job.params, root, openpose)):
        for split in rows:
            truth[split] += rows[split]
    return truth


def _tasks(params: H36mParams, root: Path, openpose: Path) -> list[ActionTask]:
    """Each subject has actions of its own, some with a number as in the original."""
    tasks: list[ActionTask] = []
    groups = ((params.train_subjects, params.train_actions), (params.test_subjects, params.test_actions))
    for is_test, (subjects, n_actions) in enumerate(groups):
        for subject in subjects:
            for _ in range(n_actions):
                number = len(tasks)
                action = _ACTIONS[number % len(_ACTIONS)] + (" 1" if number % 2 else "")
                tasks.append(ActionTask(subject, action, number, bool(is_test), root, openpose))
    return tasks


def _render_action(job: MirrorJob[H36mParams], task: ActionTask) -> TruthBySplit:
    """Render one action as all cameras see it and write its files."""
    params, bodies = job.params, job.read_inputs()[0]
    subject = [*params.train_subjects, *params.test_subjects].index(task.subject)
    sequence = sample_sequence(job, params, _STREAM, subject, task.number, len(CAMERAS), is_green=False)
    recordings = [H36mRecording(task.subject, task.action, camera) for camera in CAMERAS]
    paths = [task.root / recording.file("Videos", ".mp4") for recording in recordings]
    views = render_videos(sequence, bodies, sequence.cameras, paths, "mp4v", _RATE)
    world = np.stack([captured_joints(bodies, person, _JOINTS32) for person in sequence.people])
    has_mosh = not task.is_test and sequence.rng.random() >= params.mosh_missing
    detector = np.random.default_rng([params.seed, _STREAM, _DETECTOR, task.number])
    rows: TruthBySplit = {}
    for recording, view in zip(recordings, views, strict=True):
        joints = np.stack([view.camera.to_camera(world[step]) for step in sequence.steps])
        video = _Video(recording, view, joints, sequence.steps)
        _write_annotations(task.root, video, params.box_room)
        if not task.is_test:
            _write_detections(task.openpose, video, params.detector, detector)
        if has_mosh:
            _write_mosh(task.root, video)
        for split in _splits(task.is_test, recording.camera):
            rows[split] = rows.get(split, []) + _truth(split, video)
    return rows


def _splits(is_test: bool, camera: str) -> tuple[str, ...]:
    if not is_test:
        return (TRAIN,)
    return (TEST, TEST_FRONTAL) if camera == _FRONTAL else (TEST,)


def _write_annotations(root: Path, video: _Video, room: float) -> None:
    recording, camera = video.recording, video.view.camera
    pixels = np.stack([camera.project(joints) for joints in video.joints])
    _write_cdf(root / recording.file("MyPoseFeatures/D3_Positions_mono", ".cdf"), 1000 * video.joints)
    _write_cdf(root / recording.file("MyPoseFeatures/D2_Positions", ".cdf"), pixels)
    path = root / recording.file("MySegmentsMat/ground_truth_bb", ".mat")
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = [_box_mask(person, camera, room) for person in video.view.people]
    write_mat73(path, {"Masks": [masks[step] for step in video.steps]})


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


def _box_mask(person: CameraPerson, camera: Camera, room: float) -> UInt8[np.ndarray, "H W"]:
    """Ones in a box around the person's outline, clipped to the picture."""
    pixels = camera.project(person.vertices)
    middle, half = (pixels.max(0) + pixels.min(0)) / 2, room * np.ptp(pixels, axis=0) / 2
    height, width = camera.size
    low = np.clip(np.floor(middle - half), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(middle + half), 0, [width, height]).astype(int)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[low[1] : high[1], low[0] : high[0]] = 1
    return mask


def _write_detections(folder: Path, video: _Video, params: DetectorParams, rng: np.random.Generator) -> None:
    """OpenPose's files of the frames that are used."""
    for frame in video.used_frames:
        joints = video.view.joints[video.steps[frame]]
        detections = sample_detections([joints.openpose], video.view.camera.size, params, rng)
        write_openpose(detections_path(folder, video.image(frame)), detections)


def _write_mosh(root: Path, video: _Video) -> None:
    """SMPL parameters as distributed with HMR: every fifth frame, the root rotated upside down."""
    people = [video.view.people[video.steps[frame]] for frame in video.used_frames]
    poses = np.stack([person.pose for person in people]).astype(np.float64)
    poses[:, :3] = (Rotation.from_rotvec(poses[:, :3]) * _UPSIDE_DOWN.inv()).as_rotvec()
    recording = video.recording
    name = f"{recording.action}_cam{CAMERAS.index(recording.camera)}_aligned.pkl"
    path = root / _MOSH / recording.subject / name
    path.parent.mkdir(parents=True, exist_ok=True)
    betas = people[0].identity.betas.astype(np.float64)
    path.write_bytes(dumps_python2({"new_poses": poses, "betas": betas}))


def _truth(split: str, video: _Video) -> list[dict[str, Any]]:
    people, camera = video.view.people, video.view.camera
    return [
        truth_row(make_id(split, video.image(frame), 0), people[video.steps[frame]], camera)
        for frame in video.used_frames
    ]
