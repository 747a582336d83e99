"""MPII Human Pose → records.

Expected tree: `images/` as distributed, and beside it either annotation:

* `train.h5` of the stacked hourglass networks (`imgname`, `center`, `scale`, `part`: N × 16 × 2), whose
  center and scale already hold that project's shift and enlargement of the box and are used as they are;
* MPII's own `mpii_human_pose_v1_u12_1.mat`, whose boxes get the same shift and enlargement. All people of the
  training images are read, also those that the other file leaves out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.datasets.matlab import read_struct
from spinloop.errors import UserError, shape_fault
from spinloop.files import parsing
from spinloop.files.hdf5 import Hdf5, open_hdf5
from spinloop.joints import JointSet
from spinloop.params.datasets import MpiiSource
from spinloop.tables.records import Box, ReadCounts, Record, common_joints, make_id, record_of_joints

# MPII's 16 joints by the names of the 24; its upper neck and head top are LSP's neck and top of the head.
MPII16: JointSet = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis_mpii",
    "thorax_mpii", "neck_lsp", "head_top_lsp", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_FIX = "give train.h5 of the stacked hourglass networks, or MPII's own mpii_human_pose_v1_u12_1.mat"
# The stacked hourglass networks move the box down and enlarge it, so that feet stay inside.
_SHIFT, _ENLARGEMENT = 15.0, 1.25


class _Rows(NamedTuple):
    names: list[str]
    centers: Float[np.ndarray, "N 2"]
    scales: Float[np.ndarray, " N"]
    joints: Float[np.ndarray, "N 16 2"]


def read_mpii(
    raw: Path, split: str, source: MpiiSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of the training set, by image and row of the file.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: keep only people with all 16 joints, in the file's order, as the published preprocessing.
        counts: what is left out: `joint_missing` (official only), and see `records.record_of_joints`.

    Raises:
        UserError: there is neither annotation, it is of another shape, or an image is absent.
    """
    path = _annotation_file(raw)
    if path.suffix == ".mat" and is_official:
        raise UserError(f"{path}: --compat official needs train.h5, as the published code; put it beside")
    rows = _read(path) if path.suffix == ".h5" else _read_mat(path)
    # A joint that nobody annotated stands at (0, 0) or below.
    is_annotated = rows.joints.min(axis=2) > 0
    keypoints = common_joints(rows.joints, is_annotated, MPII16)
    rules = source.box_factor, source.min_limb_joints, is_official
    numbers = range(len(rows.names))
    for number in numbers if is_official else sorted(numbers, key=lambda one: (rows.names[one], one)):
        image = f"images/{rows.names[number]}"
        name = make_id(split, image, number)
        if is_official and not is_annotated[number].all():
            counts.leave_out("joint_missing", name)
            continue
        box = Box(rows.centers[number], float(rows.scales[number])) if rows.scales[number] > 0 else None
        record = record_of_joints(raw, name, image, number, keypoints[number], box, *rules)
        if isinstance(record, str):
            counts.leave_out(record, name)
            continue
        counts.keep()
        yield record


def _annotation_file(raw: Path) -> Path:
    """`train.h5` if it is there, else MPII's own file."""
    own = sorted(raw.glob("mpii*.mat"))
    return own[0] if own and not (raw / "train.h5").is_file() else raw / "train.h5"


def _read_mat(path: Path) -> _Rows:
    """The people of the training images of MPII's own file."""
    release = read_struct(path, "RELEASE", _FIX)
    images = _structs(release.get("annolist"))
    is_train = np.atleast_1d(np.asarray(release.get("img_train", 1)))
    if not images or is_train.shape != (len(images),):
        fault = f"{len(images)} images and {is_train.size} marks of training images"
        raise UserError(f"{path}: RELEASE.annolist: {fault}, so this is no full file of MPII's; {_FIX}")
    names, boxes, joints = list[str](), list[tuple[float, float, float]](), list[np.ndarray]()
    for image, is_used in zip(images, is_train, strict=True):
        name = (_structs(image.get("image")) or [{}])[0].get("name")
        if not is_used or not isinstance(name, str) or not name:
            continue
        for person in _structs(image.get("annorect")):
            names.append(name)
            boxes.append(_box(person))
            joints.append(_joints(person))
    if not names:
        raise UserError(f"{path}: RELEASE.annolist: nobody in the training images; {_FIX}")
    sides = np.array(boxes)
    return _Rows(names, sides[:, :2], sides[:, 2], np.stack(joints))


def _structs(value: Any) -> list[dict[str, Any]]:
    """Structures of a field: MATLAB has one, an array of them, or something empty."""
    values = value if isinstance(value, (list, np.ndarray)) else [value]
    return [one for one in values if isinstance(one, dict)]


def _number(value: Any) -> float:
    """A finite number, or NaN."""
    array = np.asarray(value)
    is_number = array.size == 1 and array.dtype.kind in "fiub"
    return float(array.reshape(-1)[0]) if is_number and np.isfinite(array).all() else float("nan")


def _box(person: dict[str, Any]) -> tuple[float, float, float]:
    """Center and scale of the box; scale 0 if there is none."""
    place = (_structs(person.get("objpos")) or [{}])[0]
    x, y, scale = (_number(value) for value in (place.get("x"), place.get("y"), person.get("scale")))
    if not np.isfinite([x, y, scale]).all() or scale <= 0:
        return 0.0, 0.0, 0.0
    return x, y + _SHIFT * scale, _ENLARGEMENT * scale


def _joints(person: dict[str, Any]) -> Float[np.ndarray, "16 2"]:
    """Places of the annotated joints; zeros where there is none."""
    joints = np.zeros((len(MPII16), 2))
    for part in _structs(person.get("annopoints")):
        for point in _structs(part.get("point")):
            number, x, y = (_number(point.get(key)) for key in ("id", "x", "y"))
            if np.isfinite([x, y]).all() and number in range(len(MPII16)):
                joints[int(number)] = x, y
    return joints


def _read(path: Path) -> _Rows:
    with open_hdf5(path, "a readable train.h5", _FIX) as file:
        names = _names(file)
        parts = {key: file.numbers(key) for key in ("center", "scale", "part")}
    count = len(names)
    shapes = {"center": (count, 2), "scale": (count,), "part": (count, len(MPII16), 2)}
    for key, shape in shapes.items():
        if fault := shape_fault(parts[key].shape, shape):
            raise UserError(f"{path}: {key}: {fault}; {_FIX}")
    return _Rows(names, *(parts[key].astype(np.float64) for key in shapes))


def _names(file: Hdf5) -> list[str]:
    """Names of the images, which are words or rows of letters' numbers."""
    if file.dataset("imgname").dtype.kind in "SO":
        return file.words("imgname")
    with parsing(f"{file.path}: imgname", "names of images in UTF-8", _FIX):
        rows = file.numbers("imgname")
        return [bytes(row.astype(np.uint8)).rstrip(b"\0").decode("utf-8") for row in rows]
