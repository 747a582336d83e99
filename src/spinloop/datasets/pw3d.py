"""3D Poses in the Wild → records.

Expected tree, as distributed: `sequenceFiles/<subset>/<sequence>.pkl` and
`imageFiles/<sequence>/image_<frame, five digits>.jpg`, frames counted from 0. The files' own 2D joints are
detections: they place the box, and a body may be fitted to them; people annotated pose, shape and gender.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.joints import COMMON24, OPENPOSE18, index_map
from spinloop.params.datasets import Pw3dSource
from spinloop.pickles import load_pickle
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import Box, ReadCounts, Record, bounding_square, make_id

_SHARED = [name for name in OPENPOSE18 if name in COMMON24]
_OPENPOSE_COMMON, _COMMON_OF_OPENPOSE = index_map(OPENPOSE18, _SHARED), index_map(COMMON24, _SHARED)
_CURE = "download 3DPW's sequenceFiles and unpack them there"
_GENDERS = {"f": "female", "m": "male"}
_N_BETAS = 10


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
            `empty_box`, `unreadable_image`; notes sequences whose folder has more or fewer images than the
            file has frames (`frame_count_differs`).

    Raises:
        UserError: a file is absent, truncated or not 3DPW's, or an image is listed but absent.
    """
    folder = raw / "sequenceFiles" / source.subset
    paths = sorted(folder.glob("*.pkl"))
    if not paths:
        raise UserError(f"{folder}: no sequence files (*.pkl) there; {_CURE}")
    for path in paths:
        people, cameras = _load(path)
        frames = range(len(cameras))
        if len(list((raw / "imageFiles" / path.stem).glob("image_*.jpg"))) != len(cameras):
            counts.flag("frame_count_differs", path.stem)
        sizes = _Sizes(raw)
        pairs = [(frame, person) for frame in frames for person in range(len(people))]
        if is_official:
            pairs = sorted(pairs, key=lambda pair: pair[::-1])
        for frame, person in pairs:
            image = f"imageFiles/{path.stem}/image_{frame:05d}.jpg"
            name = make_id(split, image, person)
            found = _record(people[person], cameras[frame], frame, sizes, image, source.box_factor)
            if isinstance(found, str):
                counts.leave_out(found, name)
                continue
            counts.keep()
            yield Record(id=name, image=image, sequence=path.stem, frame=frame, person=person, **found)


class _Person(NamedTuple):
    poses: Float[np.ndarray, "F 72"]
    """The root's orientation in world axes."""
    betas: Float[np.ndarray, " 10"]
    joints: Float[np.ndarray, "F 3 18"]
    """OpenPose's 18 joints: x, y, confidence."""
    is_valid: Bool[np.ndarray, " F"]
    """Whether the camera's pose is known for this person."""
    gender: str


class _Sizes:
    """Height and width of images, each header read once; None if it is no image."""

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        self._known: dict[str, tuple[int, int] | None] = {}

    def of(self, image: str) -> tuple[int, int] | None:
        if image not in self._known:
            try:
                self._known[image] = read_size(self._raw / image)
            except UnreadableImage:
                self._known[image] = None
        return self._known[image]


def _record(
    person: _Person,
    camera: Float[np.ndarray, "4 4"],
    frame: int,
    sizes: _Sizes,
    image: str,
    box_factor: float,
) -> dict[str, Any] | str:
    """The annotated part of a record, or the reason to leave it out."""
    if not person.is_valid[frame]:
        return "camera_pose_invalid"
    parts = (person.poses[frame], person.joints[frame], camera)
    if not all(np.isfinite(part).all() for part in parts):
        return "not_finite"
    x, y, confidence = person.joints[frame]
    if not (confidence > 0).any():
        return "no_visible_joint"
    box = bounding_square(np.stack([x, y], axis=1)[confidence > 0], box_factor)
    if box is None:
        return "empty_box"
    size = sizes.of(image)
    if size is None:
        return "unreadable_image"
    return {**_fields(person, camera, frame, size, box), "keypoints": _keypoints(person.joints[frame])}


def _keypoints(joints: Float[np.ndarray, "3 18"]) -> Float[np.ndarray, "24 3"]:
    """The file's own 2D joints that annotators mark too; its neck is OpenPose's and is not theirs."""
    keypoints = np.zeros((len(COMMON24), 3))
    keypoints[list(_COMMON_OF_OPENPOSE)] = joints.T[list(_OPENPOSE_COMMON)]
    keypoints[keypoints[:, 2] <= 0] = 0
    return keypoints


def _fields(
    person: _Person, camera: Float[np.ndarray, "4 4"], frame: int, size: tuple[int, int], box: Box
) -> dict[str, Any]:
    pose = person.poses[frame].copy()
    pose[:3] = (Rotation.from_matrix(camera[:3, :3]) * Rotation.from_rotvec(pose[:3])).as_rotvec()
    return {
        "image_height": size[0],
        "image_width": size[1],
        "center": box.center,
        "scale": box.scale,
        "pose": pose,
        "betas": person.betas,
        "gender": person.gender,
    }


def _load(path: Path) -> tuple[list[_Person], Float[np.ndarray, "F 4 4"]]:
    content = load_pickle(path, _CURE)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_CURE}")
    cameras = _array(path, "cam_poses", content.get("cam_poses"), (None, 4, 4))
    n_frames = len(cameras)
    parts = {key: _list(path, key, content.get(key)) for key in _PER_PERSON}
    lengths = {key: len(part) for key, part in parts.items()}
    if len(set(lengths.values())) != 1:
        raise UserError(f"{path}: the keys count people differently ({lengths}); {_CURE}")
    people = []
    for index in range(lengths["poses"]):
        name = f"[{index}]"
        betas = _array(path, f"betas{name}", parts["betas"][index], (None,))
        if len(betas) < _N_BETAS:
            raise UserError(f"{path}: betas{name}: expected at least 10 numbers, found {len(betas)}; {_CURE}")
        people.append(
            _Person(
                _array(path, f"poses{name}", parts["poses"][index], (n_frames, 72)),
                betas[:_N_BETAS],
                _array(path, f"poses2d{name}", parts["poses2d"][index], (n_frames, 3, len(OPENPOSE18))),
                _array(path, f"campose_valid{name}", parts["campose_valid"][index], (n_frames,)) > 0,
                _gender(path, f"genders{name}", parts["genders"][index]),
            )
        )
    return people, cameras


_PER_PERSON = ("poses", "betas", "poses2d", "campose_valid", "genders")


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise UserError(f"{path}: {key}: expected a list over people, found {type(value).__name__}; {_CURE}")
    return list(value)


def _array(path: Path, key: str, value: Any, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{path}: {key}: expected numbers, found {type(value).__name__}; {_CURE}") from None
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = " × ".join("frames" if side is None else str(side) for side in shape)
        found = " × ".join(map(str, array.shape)) or "a single value"
        raise UserError(f"{path}: {key}: expected {wanted}, found {found}; {_CURE}")
    return array


def _gender(path: Path, key: str, value: Any) -> str:
    if value not in _GENDERS:
        raise UserError(f"{path}: {key}: expected 'm' or 'f', found {value!r}; {_CURE}")
    return _GENDERS[value]
