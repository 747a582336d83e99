"""Human3.6M's poses: CDF files with one variable, `Pose`, of 1 × frames × numbers.

SMPL parameters that MoSh fitted to Human3.6M's markers, from the files that went round with HMR.

Expected tree: `<folder>/S1/Directions 1_cam0_aligned.pkl`, one file per recording, cameras counted in the
order of their names: `new_poses`, one pose for every fifth frame with the root in camera axes, and `betas`.

Human3.6M → records.

Expected tree, as distributed and unpacked: `S9/MyPoseFeatures/D3_Positions_mono/<action>.<camera>.cdf` (32
joints, mm, camera axes), `D2_Positions/` beside it (px), `S9/MySegmentsMat/ground_truth_bb/<…>.mat` (a mask
of the person's box for every frame) and `S9/Videos/<…>.mp4`. The protocols differ in the cameras only.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cdflib
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.datasets.joint_rows import common_joints, rooted_joints
from spinloop.datasets.matlab import Cells, Hdf5Mat
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.joints import JointSet
from spinloop.params.datasets import H36mSource
from spinloop.pickles import load_pickle
from spinloop.tables.images import UnreadableImage, frame_name, open_video, read_size
from spinloop.tables.records import Box, ReadCounts, Record, bounding_square, make_id

N_JOINTS = 32
_CURE = "download Human3.6M's poses again"
# What cdflib raises when bytes are missing or wrong, or the version is one that it does not know.
_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_poses(path: Path, dimensions: int) -> Float[np.ndarray, "F 32 D"]:
    """The joints of every frame.

    Args:
        path: the file.
        dimensions: numbers of a joint: 3 (mm) or 2 (px).

    Raises:
        UserError: the file is absent, damaged, of an unknown version, or holds something else.
    """
    require_file(path, "unpack Human3.6M's poses there")
    try:
        poses = np.asarray(cdflib.CDF(path).varget("Pose"))
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a CDF file with poses ({reason}); {_CURE}") from None
    width = N_JOINTS * dimensions
    if poses.dtype.kind != "f" or poses.ndim != 3 or poses.shape[0] != 1 or poses.shape[2] != width:
        shown = " × ".join(map(str, poses.shape))
        raise UserError(
            f"{path}: Pose: expected numbers, 1 × frames × {width}, found {poses.dtype}, {shown}; {_CURE}"
        )
    return poses[0].reshape(-1, N_JOINTS, dimensions).astype(np.float64)


_EVERY = 5
_CURE_mosh = "get MoSh's files again, or set sources.<split>.mosh to null"
# The files hold the body upside down, as SMPL's y axis points up and the camera's down.
_UPRIGHT = Rotation.from_rotvec([np.pi, 0.0, 0.0])


class Mosh(NamedTuple):
    """The bodies of one recording."""

    poses: Float[np.ndarray, "N 72"]
    """Axis-angle, the root in camera axes; one row for every fifth frame."""
    betas: Float[np.ndarray, " 10"]

    @classmethod
    def find(cls, folder: Path, subject: str, action: str, camera: int) -> "Mosh":
        """The bodies of a recording; none if MoSh did not fit it (its file is absent).

        Raises:
            UserError: there is no such folder, or the file is damaged or of another shape.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {_CURE_mosh}")
        path = folder / subject / f"{action}_cam{camera}_aligned.pkl"
        if not path.is_file():
            return cls(np.zeros((0, 72)), np.zeros(10))
        content = load_pickle(path, _CURE_mosh)
        if not isinstance(content, Mapping):
            raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_CURE_mosh}")
        poses, betas = (_numbers(path, key, content.get(key)) for key in ("new_poses", "betas"))
        if poses.ndim != 2 or poses.shape[1] != 72 or betas.shape != (10,):
            found = f"{poses.shape} and {betas.shape}"
            raise UserError(f"{path}: expected new_poses N × 72 and betas 10, found {found}; {_CURE_mosh}")
        roots = Rotation.from_rotvec(poses[:, :3]) * _UPRIGHT
        return cls(np.concatenate([roots.as_rotvec(), poses[:, 3:]], axis=1), betas)

    def body(self, frame: int) -> dict[str, Any]:
        """`pose`, `betas` and `gender` of a record; empty where MoSh has none."""
        row, rest = divmod(frame, _EVERY)
        if rest or row >= len(self.poses):
            return {}
        return {"pose": self.poses[row], "betas": self.betas, "gender": "neutral"}


def _numbers(path: Path, key: str, value: Any) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {key}: expected finite numbers, found {type(value).__name__}; {_CURE_mosh}")
    return array


CAMERAS = ("54138969", "55011271", "58860488", "60457274")
# The 17 joints of the 32 that are used, and which of the 24 each is. Joint 11 repeats the root, 24 the neck.
H36M_PLACES: dict[str, int] = {
    "pelvis_mpii": 11, "left_hip": 6, "left_knee": 7, "left_ankle": 8, "right_hip": 1, "right_knee": 2,
    "right_ankle": 3, "spine_h36m": 12, "neck_lsp": 24, "jaw_h36m": 14, "head_h36m": 15, "left_shoulder": 17,
    "left_elbow": 18, "left_wrist": 19, "right_shoulder": 25, "right_elbow": 26, "right_wrist": 27,
}  # fmt: skip
_NAMES: JointSet = tuple(H36M_PLACES)
_ROWS = list(H36M_PLACES.values())
_CURE_h36m = "download and unpack Human3.6M there, or correct sources.<split>"


class Recording(NamedTuple):
    """One subject doing something, seen by one camera."""

    subject: str
    action: str
    """With its number, e.g. `Directions 1`."""
    camera: str

    @property
    def title(self) -> str:
        """What all cameras saw at once."""
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
        counts: what is left out: `empty_box`, `not_finite`, `video_ended`, `unreadable_image`.

    Raises:
        UserError: a file is absent, damaged or not Human3.6M's, or a video is shorter than its poses.
    """
    unknown = sorted(set(source.cameras) - set(CAMERAS))
    if unknown:
        raise UserError(f"sources.{split}.cameras: {unknown[0]} is none of {', '.join(CAMERAS)}; correct it")
    for subject in source.subjects:
        for recording in _recordings(raw, subject, split, source):
            yield from _read_recording(raw, split, recording, source, is_official, counts)


def _recordings(raw: Path, subject: str, split: str, source: H36mSource) -> list[Recording]:
    """All recordings of the chosen cameras, by file name; every action must have each of them."""
    folder = raw / subject / "MyPoseFeatures" / "D3_Positions_mono"
    found = []
    for path in sorted(folder.glob("*.cdf")):
        action, dot, camera = path.stem.rpartition(".")
        if not dot or camera not in CAMERAS:
            raise UserError(f"{path}: expected a name such as 'Walking 1.60457274.cdf'; remove or rename it")
        # A subject's sum of all actions, which some releases hold.
        if not action.startswith("_ALL"):
            found.append(Recording(subject, action, camera))
    if not found:
        raise UserError(f"{folder}: no poses (*.cdf) there; {_CURE_h36m}")
    wanted = [one for one in found if one.camera in source.cameras and one.title not in source.skip]
    for action in sorted({one.action for one in wanted}):
        absent = set(source.cameras) - {one.camera for one in wanted if one.action == action}
        if absent:
            raise UserError(
                f"{folder}/{action}.{min(absent)}.cdf: no such file; {_CURE_h36m} "
                f"(or list '{subject}/{action}' in sources.{split}.skip)"
            )
    return wanted


class _Files:
    """What the files of one recording say of each frame."""

    def __init__(self, raw: Path, split: str, recording: Recording, source: H36mSource) -> None:
        self._raw, self._recording, self._source = raw, recording, source
        poses = raw / recording.file("MyPoseFeatures/D3_Positions_mono", ".cdf")
        self.joints: Float[np.ndarray, "F 17 3"] = read_poses(poses, 3)[:, _ROWS]
        """mm, camera axes."""
        self.pixels: Float[np.ndarray, "F 17 2"] | None = self._read_pixels() if source.has_2d else None
        self.mosh: Mosh | None = None
        if source.mosh is not None:
            camera = CAMERAS.index(recording.camera)
            self.mosh = Mosh.find(raw / source.mosh, recording.subject, recording.action, camera)
        self.indices = range(0, len(self.joints), source.every)
        """Frames that are kept."""
        self._n_frames: int | None = None
        if source.frames == "video":
            self._open_video(split)

    def size(self, index: int) -> tuple[int, int] | str:
        """Height and width (px) of a frame's picture, or the reason why there is none."""
        if self._n_frames is not None:
            return self._size if index < self._n_frames else "video_ended"
        try:
            return read_size(self._raw / self._recording.image(index, self._source))
        except UnreadableImage:
            return "unreadable_image"

    def _read_pixels(self) -> Float[np.ndarray, "F 17 2"]:
        path = self._raw / self._recording.file("MyPoseFeatures/D2_Positions", ".cdf")
        pixels = read_poses(path, 2)[:, _ROWS]
        if len(pixels) != len(self.joints):
            raise UserError(
                f"{path}: Pose: expected {len(self.joints)} frames, found {len(pixels)}; {_CURE_h36m}"
            )
        return pixels

    def _open_video(self, split: str) -> None:
        video = open_video(self._raw / self._recording.file("Videos", ".mp4"))
        self._n_frames, self._size = video.n_frames, (video.height, video.width)
        if self.indices and self.indices[-1] >= video.n_frames + self._source.missing_frames:
            rules = f"sources.{split}"
            raise UserError(
                f"{video.path}: {video.n_frames} frames, but {len(self.joints)} poses; download the video "
                f"again, raise {rules}.missing_frames, or list {self._recording.title!r} in {rules}.skip"
            )


def _read_recording(
    raw: Path, split: str, recording: Recording, source: H36mSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    files = _Files(raw, split, recording, source)
    with Hdf5Mat(raw / recording.file("MySegmentsMat/ground_truth_bb", ".mat"), _CURE_h36m) as file:
        masks = file.cells("Masks")
        # Masks of frames that nobody uses may be missing at the end, as videos' may.
        if files.indices and len(masks) <= files.indices[-1]:
            raise file.fault(f"Masks: expected {len(files.joints)} frames, found {len(masks)}")
        for index in files.indices:
            # Differs from official: see docs/fidelity.md#h36m-frame
            shown = index + 1 if is_official and source.frames == "video" else index
            image = recording.image(shown, source)
            found = _fields(files, masks, index, source.box_factor, files.size(shown))
            name = make_id(split, image, 0)
            if isinstance(found, str):
                counts.leave_out(found, name)
                continue
            if source.mosh is not None and "pose" not in found:
                counts.flag("no_smpl_parameters", name)
            counts.keep()
            title, activity = recording.title, recording.activity
            yield Record(name, image, sequence=title, activity=activity, frame=index, person=0, **found)


def _fields(
    files: _Files, masks: Cells, index: int, box_factor: float, size: tuple[int, int] | str
) -> dict[str, Any] | str:
    """The annotated part of a record, or the reason to leave it out."""
    joints = files.joints[index]
    pixels = None if files.pixels is None else files.pixels[index]
    if not np.isfinite(joints).all() or (pixels is not None and not np.isfinite(pixels).all()):
        return "not_finite"
    box = _box(masks[index], box_factor)
    if box is None:
        return "empty_box"
    if isinstance(size, str):
        return size
    everyone = np.ones(len(_NAMES), dtype=bool)
    return {
        "image_height": size[0],
        "image_width": size[1],
        "center": box.center,
        "scale": box.scale,
        "keypoints": None if pixels is None else common_joints(pixels, everyone, _NAMES),
        "joints_3d": rooted_joints(joints / 1000, _NAMES, "pelvis_mpii"),
        **({} if files.mosh is None else files.mosh.body(index)),
    }


def _box(mask: np.ndarray, factor: float) -> Box | None:
    """The box around a mask's ones; HDF5 has it with x first."""
    is_person = mask == 1
    columns, rows = np.flatnonzero(is_person.any(1)), np.flatnonzero(is_person.any(0))
    if not len(columns):
        return None
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], dtype=np.float64)
    return bounding_square(corners, factor)
