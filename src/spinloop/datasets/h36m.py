"""Human3.6M → records.

Expected tree, as distributed and unpacked: `S9/MyPoseFeatures/D3_Positions_mono/<action>.<camera>.cdf` (32
joints, mm, camera axes), `D2_Positions/` beside it (px), `S9/MySegmentsMat/ground_truth_bb/<…>.mat` (a mask
of the person's box for every frame) and `S9/Videos/<…>.mp4`. The protocols differ in the cameras only.

SMPL parameters that MoSh fitted to the markers come from the files that HMR's authors shared:
`<folder>/S1/Directions 1_cam0_aligned.pkl`, one file per recording, cameras counted in the order of their
names: `new_poses`, one pose for every fifth frame with the root in camera axes, and `betas`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cdflib
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.datasets.matlab import Hdf5Mat
from spinloop.errors import UserError, shape_fault
from spinloop.files import reading
from spinloop.files.gate import within
from spinloop.files.pickles import load_pickle
from spinloop.joints import JointSet
from spinloop.params.datasets import H36mSource
from spinloop.tables.images import frame_name, open_video, read_size_or_none
from spinloop.tables.records import (
    Box,
    ReadCounts,
    Record,
    bounding_square,
    common_joints,
    finite_rows,
    make_id,
    root_relative_joints,
)

N_JOINTS = 32
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
# The 17 joints of the 32 that are used, and which of the 24 each is. Joint 11 repeats the root, 24 the neck.
H36M_PLACES: dict[str, int] = {
    "pelvis_mpii": 11, "left_hip": 6, "left_knee": 7, "left_ankle": 8, "right_hip": 1, "right_knee": 2,
    "right_ankle": 3, "spine_h36m": 12, "neck_lsp": 24, "jaw_h36m": 14, "head_h36m": 15, "left_shoulder": 17,
    "left_elbow": 18, "left_wrist": 19, "right_shoulder": 25, "right_elbow": 26, "right_wrist": 27,
}  # fmt: skip
_NAMES: JointSet = tuple(H36M_PLACES)
_ROWS = list(H36M_PLACES.values())
_MOSH_EVERY = 5
# MoSh's files hold the body upside down, as SMPL's y axis points up and the camera's down.
_UPRIGHT = Rotation.from_rotvec([np.pi, 0.0, 0.0])
_FIX = "download and unpack Human3.6M there, or correct sources.<split>"
_FIX_MOSH = "get MoSh's files again, or set sources.<split>.mosh to null"


class H36mRecording(NamedTuple):
    """One subject's action, recorded by one camera."""

    subject: str
    action: str
    """With its number, e.g. `Directions 1`."""
    camera: str

    @property
    def title(self) -> str:
        """Subject and action: what all cameras recorded at the same time."""
        return f"{self.subject}/{self.action}"

    @property
    def activity(self) -> str:
        """The action without its number."""
        return re.sub(r" \d+$", "", self.action)

    def file(self, folder: str, suffix: str) -> str:
        """Path of one of its files, relative to the dataset's folder."""
        return f"{self.subject}/{folder}/{self.action}.{self.camera}{suffix}"

    def image(self, index: int, source: H36mSource) -> str:
        """Path of a 0-based frame's picture, relative to the dataset's folder."""
        if source.frames == "video":
            return frame_name(self.file("Videos", ".mp4"), index)
        action = self.action.replace(" ", "_")
        return f"images/{self.subject}_{action}.{self.camera}_{index + 1:06d}.jpg"


def read_h36m(
    raw: Path, split: str, source: H36mSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records by subject, action, camera and frame.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: subjects, cameras, frames.
        is_official: the picture of a frame is the video's next one, as the published preprocessing saves it.
        counts: what is left out: `empty_box`, `not_finite`, `video_ended`, `unreadable_image`; flags
            `no_smpl_parameters`.

    Raises:
        UserError: a file is absent, damaged or not Human3.6M's, or a video is shorter than its poses.
    """
    unknown = sorted(set(source.cameras) - set(CAMERAS))
    if unknown:
        raise UserError(f"sources.{split}.cameras: {unknown[0]} is none of {', '.join(CAMERAS)}; correct it")
    for subject in source.subjects:
        for recording in _recordings(raw, subject, split, source):
            yield from _read_recording(raw, split, recording, source, is_official, counts)


def read_poses(path: Path, dimensions: int) -> Float[np.ndarray, "F 32 D"]:
    """The joints of every frame.

    Args:
        path: a CDF file with one variable, `Pose`, of 1 × frames × numbers.
        dimensions: numbers of a joint: 3 (mm) or 2 (px).

    Raises:
        UserError: the file is absent, damaged, of an unknown version, or holds something else.
    """
    fix = "download Human3.6M's poses again"
    with reading(path, "a readable CDF file with poses", fix), within(3 + path.stat().st_size / 5e6):
        poses = np.asarray(cdflib.CDF(path).varget("Pose"))
    fault = shape_fault(poses.shape, (1, None, N_JOINTS * dimensions))
    if fault or poses.dtype.kind != "f":
        raise UserError(
            f"{path}: Pose: {fault or f'expected numbers, found {poses.dtype}'}; download it again"
        )
    return poses[0].reshape(-1, N_JOINTS, dimensions).astype(np.float64)


def _recordings(raw: Path, subject: str, split: str, source: H36mSource) -> list[H36mRecording]:
    """All recordings of the chosen cameras, by file name; every action must have each of them."""
    folder = raw / subject / "MyPoseFeatures" / "D3_Positions_mono"
    found = []
    for path in sorted(folder.glob("*.cdf")):
        action, dot, camera = path.stem.rpartition(".")
        if not dot or camera not in CAMERAS:
            raise UserError(f"{path}: expected a name such as 'Walking 1.60457274.cdf'; remove or rename it")
        # A subject's sum of all actions, which some releases hold.
        if not action.startswith("_ALL"):
            found.append(H36mRecording(subject, action, camera))
    if not found:
        raise UserError(f"{folder}: no poses (*.cdf) there; {_FIX}")
    wanted = [one for one in found if one.camera in source.cameras and one.title not in source.skip]
    for action in sorted({one.action for one in wanted}):
        absent = set(source.cameras) - {one.camera for one in wanted if one.action == action}
        if absent:
            raise UserError(
                f"{folder}/{action}.{min(absent)}.cdf: no such file; {_FIX} "
                f"(or list '{subject}/{action}' in sources.{split}.skip)"
            )
    return wanted


class _Frames:
    """The frames of one recording that are kept."""

    def __init__(self, raw: Path, split: str, recording: H36mRecording, source: H36mSource) -> None:
        self._raw, self._recording, self._source = raw, recording, source
        joints = read_poses(raw / recording.file("MyPoseFeatures/D3_Positions_mono", ".cdf"), 3)[:, _ROWS]
        self.n_poses = len(joints)
        self.indices = range(0, len(joints), source.every)
        joints = joints[:: source.every]
        self.is_finite = finite_rows(joints)
        # Frames that are not finite are left out afterwards.
        with np.errstate(invalid="ignore"):
            self.joints_3d = root_relative_joints(joints / 1000, _NAMES, "pelvis_mpii")
        self.keypoints = None
        if source.has_2d:
            pixels = self._read_pixels()[:: source.every]
            self.is_finite &= finite_rows(pixels)
            self.keypoints = common_joints(pixels, np.ones(pixels.shape[:2], dtype=bool), _NAMES)
        self.bodies = None if source.mosh is None else _MoshBodies.find(raw / source.mosh, recording)
        self._video_frames, self._video_size = None, (0, 0)
        if source.frames == "video":
            self._open_video(split)

    def size(self, index: int) -> tuple[int, int] | str:
        """Height and width (px) of a frame's picture, or the reason why there is none."""
        if self._video_frames is not None:
            return self._video_size if index < self._video_frames else "video_ended"
        image = self._raw / self._recording.image(index, self._source)
        return read_size_or_none(image) or "unreadable_image"

    def _read_pixels(self) -> Float[np.ndarray, "F 17 2"]:
        path = self._raw / self._recording.file("MyPoseFeatures/D2_Positions", ".cdf")
        pixels = read_poses(path, 2)[:, _ROWS]
        if len(pixels) != self.n_poses:
            raise UserError(f"{path}: Pose: expected {self.n_poses} frames, found {len(pixels)}; {_FIX}")
        return pixels

    def _open_video(self, split: str) -> None:
        video = open_video(self._raw / self._recording.file("Videos", ".mp4"))
        self._video_frames, self._video_size = video.n_frames, (video.height, video.width)
        if self.indices and self.indices[-1] >= video.n_frames + self._source.missing_frames:
            rules = f"sources.{split}"
            raise UserError(
                f"{video.path}: {video.n_frames} frames, but {self.n_poses} poses; download the video "
                f"again, raise {rules}.missing_frames, or list {self._recording.title!r} in {rules}.skip"
            )


def _read_recording(
    raw: Path,
    split: str,
    recording: H36mRecording,
    source: H36mSource,
    is_official: bool,
    counts: ReadCounts,
) -> Iterator[Record]:
    frames, activity = _Frames(raw, split, recording, source), recording.activity
    with Hdf5Mat(raw / recording.file("MySegmentsMat/ground_truth_bb", ".mat"), _FIX) as file:
        masks = file.cells("Masks")
        # Masks of frames that nobody uses may be missing at the end, as videos' may.
        if frames.indices and len(masks) <= frames.indices[-1]:
            raise file.fault(f"Masks: expected {frames.n_poses} frames, found {len(masks)}")
        for row, index in enumerate(frames.indices):
            # Differs from official: see docs/fidelity.md#h36m-frame
            shown = index + 1 if is_official and source.frames == "video" else index
            image = recording.image(shown, source)
            name = make_id(split, image, 0)
            box = _box_of_mask(masks[index], source.box_factor) if frames.is_finite[row] else None
            if box is None:
                counts.leave_out("empty_box" if frames.is_finite[row] else "not_finite", name)
                continue
            size = frames.size(shown)
            if isinstance(size, str):
                counts.leave_out(size, name)
                continue
            body = {} if frames.bodies is None else frames.bodies.of_frame(index)
            if frames.bodies is not None and not body:
                counts.flag("no_smpl_parameters", name)
            counts.keep()
            yield Record(
                name, image, *size, box.center, box.scale,
                keypoints=None if frames.keypoints is None else frames.keypoints[row],
                joints_3d=frames.joints_3d[row], sequence=recording.title, activity=activity, frame=index,
                person=0, **body,
            )  # fmt: skip


def _box_of_mask(mask: np.ndarray, factor: float) -> Box | None:
    """The box around a mask's ones; HDF5 has it with x first."""
    is_person = (mask == 1).view(np.uint8)
    columns, rows = np.flatnonzero(is_person.max(1)), np.flatnonzero(is_person.max(0))
    if not len(columns):
        return None
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], dtype=np.float64)
    return bounding_square(corners, factor)


class _MoshBodies(NamedTuple):
    """The bodies of one recording."""

    poses: Float[np.ndarray, "N 72"]
    """Axis-angle, the root in camera axes; one row for every fifth frame."""
    betas: Float[np.ndarray, " 10"]

    @classmethod
    def find(cls, folder: Path, recording: H36mRecording) -> "_MoshBodies":
        """The bodies of a recording; none if MoSh did not fit it (its file is absent).

        Raises:
            UserError: there is no such folder, or the file is damaged or of another shape.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {_FIX_MOSH}")
        camera = CAMERAS.index(recording.camera)
        path = folder / recording.subject / f"{recording.action}_cam{camera}_aligned.pkl"
        if not path.is_file():
            return cls(np.zeros((0, 72)), np.zeros(10))
        content = load_pickle(path, _FIX_MOSH)
        if not isinstance(content, Mapping):
            raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_FIX_MOSH}")
        poses, betas = (_numbers(path, key, content.get(key)) for key in ("new_poses", "betas"))
        for key, array, shape in (("new_poses", poses, (None, 72)), ("betas", betas, (10,))):
            if fault := shape_fault(array.shape, shape):
                raise UserError(f"{path}: {key}: {fault}; {_FIX_MOSH}")
        roots = Rotation.from_rotvec(poses[:, :3]) * _UPRIGHT
        return cls(np.concatenate([roots.as_rotvec(), poses[:, 3:]], axis=1), betas)

    def of_frame(self, frame: int) -> dict[str, Any]:
        """`pose`, `betas` and `gender` of a record; empty where MoSh has none."""
        row, rest = divmod(frame, _MOSH_EVERY)
        if rest or row >= len(self.poses):
            return {}
        return {"pose": self.poses[row], "betas": self.betas, "gender": "neutral"}


def _numbers(path: Path, key: str, value: Any) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if not np.isfinite(array).all():
        found = type(value).__name__
        raise UserError(f"{path}: {key}: expected finite numbers, found {found}; {_FIX_MOSH}")
    return array
