"""3D Poses in the Wild → records.

Expected tree, as distributed: `sequenceFiles/<subset>/<sequence>.pkl` and
`imageFiles/<sequence>/image_<frame, five digits>.jpg`, frames counted from 0. The files' own 2D joints are
detections: they place the box, and a body may be fitted to them; people annotated pose, shape and gender.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError, shape_fault
from spinloop.files.pickles import load_pickle
from spinloop.joints import COMMON24, OPENPOSE18, JointSet, index_map
from spinloop.params.datasets import Pw3dSource
from spinloop.tables.images import read_size_or_none
from spinloop.tables.records import ReadCounts, Record, bounding_square, common_joints, finite_rows, make_id

# The file's own 2D joints that annotators mark too; its neck is OpenPose's and is not theirs.
_SHARED: JointSet = tuple(name for name in OPENPOSE18 if name in COMMON24)
_SHARED_ROWS = list(index_map(OPENPOSE18, _SHARED))
_FIX = "download 3DPW's sequenceFiles and unpack them there"
_GENDERS = {"f": "female", "m": "male"}
_N_BETAS = 10
_ROTATION_ERROR = 1e-3


def read_pw3d(
    raw: Path, split: str, source: Pw3dSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of one subset, by sequence, frame and person.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: subset and box.
        is_official: each sequence person by person, as the published preprocessing writes it.
        counts: what is left out: `camera_pose_invalid`, `not_finite`, `no_visible_joint`,
            `empty_box`, `unreadable_image`; flags sequences whose folder has more or fewer images than the
            file has frames (`frame_count_differs`).

    Raises:
        UserError: a file is absent, truncated or not 3DPW's, or an image is listed but absent.
    """
    folder = raw / "sequenceFiles" / source.subset
    paths = sorted(folder.glob("*.pkl"))
    if not paths:
        raise UserError(f"{folder}: no sequence files (*.pkl) there; {_FIX}")
    for path in paths:
        people, cameras = _load(path)
        is_rotation = _is_rotation(cameras[:, :3, :3])
        if not is_rotation.any() and any(person.is_valid.any() for person in people):
            raise UserError(f"{path}: cam_poses: none of them is a rotation; {_FIX}")
        if len(list((raw / "imageFiles" / path.stem).glob("image_*.jpg"))) != len(cameras):
            counts.flag("frame_count_differs", path.stem)
        size_of = lru_cache(maxsize=None)(read_size_or_none)
        annotations = [_annotations(person, cameras, is_rotation) for person in people]
        pairs = [(frame, person) for frame in range(len(cameras)) for person in range(len(people))]
        if is_official:
            pairs = sorted(pairs, key=lambda pair: pair[::-1])
        for frame, person in pairs:
            image = f"imageFiles/{path.stem}/image_{frame:05d}.jpg"
            name = make_id(split, image, person)
            one = annotations[person]
            reason = one.reason_to_reject(frame)
            joints = one.joints[frame]
            box = None if reason else bounding_square(joints[joints[:, 2] > 0, :2], source.box_factor)
            size = None if box is None else size_of(raw / image)
            if box is None or size is None:
                counts.leave_out(reason or ("empty_box" if box is None else "unreadable_image"), name)
                continue
            counts.keep()
            yield Record(
                name, image, *size, box.center, box.scale, keypoints=one.keypoints[frame],
                pose=one.poses[frame], betas=people[person].betas, gender=people[person].gender,
                sequence=path.stem, frame=frame, person=person,
            )  # fmt: skip


class _Person(NamedTuple):
    """A person of a file."""

    poses: Float[np.ndarray, "F 72"]
    """The root's orientation in world axes."""
    betas: Float[np.ndarray, " 10"]
    joints: Float[np.ndarray, "F 18 3"]
    """OpenPose's 18 joints: x, y, confidence."""
    is_valid: Bool[np.ndarray, " F"]
    """Whether the camera's pose is known for this person."""
    gender: str


class _Annotations(NamedTuple):
    """A person's frames as records hold them."""

    is_valid: Bool[np.ndarray, " F"]
    is_finite: Bool[np.ndarray, " F"]
    is_visible: Bool[np.ndarray, " F"]
    joints: Float[np.ndarray, "F 18 3"]
    keypoints: Float[np.ndarray, "F 24 3"]
    poses: Float[np.ndarray, "F 72"]
    """The root's orientation in camera axes, where the frame is used."""

    def reason_to_reject(self, frame: int) -> str | None:
        """Why a frame has no annotation."""
        if not self.is_valid[frame]:
            return "camera_pose_invalid"
        if not self.is_finite[frame]:
            return "not_finite"
        return None if self.is_visible[frame] else "no_visible_joint"


def _is_rotation(matrices: Float[np.ndarray, "F 3 3"]) -> Bool[np.ndarray, " F"]:
    """Whether a camera's pose is one: published ones are to seven digits."""
    product = matrices @ matrices.transpose(0, 2, 1)
    is_orthogonal = np.abs(product - np.eye(3)).max((1, 2), initial=0.0) < _ROTATION_ERROR
    return is_orthogonal & (np.linalg.det(np.nan_to_num(matrices)) > 0)


def _annotations(
    person: _Person, cameras: Float[np.ndarray, "F 4 4"], is_rotation: Bool[np.ndarray, " F"]
) -> _Annotations:
    is_finite = finite_rows(cameras, person.joints, person.poses)
    is_visible: Bool[np.ndarray, " F"] = np.any(person.joints[..., 2] > 0, axis=1)
    is_valid = person.is_valid & (is_rotation | ~is_finite)
    is_used = is_valid & is_finite & is_visible
    poses = person.poses.copy()
    if is_used.any():
        roots = Rotation.from_matrix(cameras[is_used, :3, :3]) * Rotation.from_rotvec(poses[is_used, :3])
        poses[is_used, :3] = roots.as_rotvec()
    confidence = person.joints[:, _SHARED_ROWS, 2]
    keypoints = common_joints(person.joints[:, _SHARED_ROWS, :2], confidence > 0, _SHARED)
    keypoints[..., list(index_map(COMMON24, _SHARED)), 2] = np.where(confidence > 0, confidence, 0.0)
    return _Annotations(is_valid, is_finite, is_visible, person.joints, keypoints, poses)


def _load(path: Path) -> tuple[list[_Person], Float[np.ndarray, "F 4 4"]]:
    content = load_pickle(path, _FIX)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_FIX}")
    cameras = _array(path, "cam_poses", content.get("cam_poses"), (None, 4, 4))
    n_frames = len(cameras)
    parts = {key: _list(path, key, content.get(key)) for key in _PER_PERSON}
    lengths = {key: len(part) for key, part in parts.items()}
    if len(set(lengths.values())) != 1:
        raise UserError(f"{path}: the keys count people differently ({lengths}); {_FIX}")
    people = []
    for index in range(lengths["poses"]):
        name = f"[{index}]"
        betas = _array(path, f"betas{name}", parts["betas"][index], (None,))
        if len(betas) < _N_BETAS:
            raise UserError(f"{path}: betas{name}: expected at least 10 numbers, found {len(betas)}; {_FIX}")
        joints = _array(path, f"poses2d{name}", parts["poses2d"][index], (n_frames, 3, len(OPENPOSE18)))
        people.append(
            _Person(
                _array(path, f"poses{name}", parts["poses"][index], (n_frames, 72)),
                betas[:_N_BETAS],
                joints.transpose(0, 2, 1),
                _array(path, f"campose_valid{name}", parts["campose_valid"][index], (n_frames,)) > 0,
                _gender(path, f"genders{name}", parts["genders"][index]),
            )
        )
    return people, cameras


_PER_PERSON = ("poses", "betas", "poses2d", "campose_valid", "genders")


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise UserError(f"{path}: {key}: expected a list over people, found {type(value).__name__}; {_FIX}")
    return list(value)


def _array(path: Path, key: str, value: Any, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{path}: {key}: expected numbers, found {type(value).__name__}; {_FIX}") from None
    if fault := shape_fault(array.shape, shape):
        raise UserError(f"{path}: {key}: {fault}; {_FIX}")
    return array


def _gender(path: Path, key: str, value: Any) -> str:
    if value not in _GENDERS:
        raise UserError(f"{path}: {key}: expected 'm' or 'f', found {value!r}; {_FIX}")
    return _GENDERS[value]
