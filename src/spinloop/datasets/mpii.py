"""MPII Human Pose → records.

Expected tree: `images/` as distributed, and beside it `train.h5`, the training annotation of the stacked
hourglass networks (`imgname`, `center`, `scale`, `part`: N × 16 × 2), whose center and scale already hold
that project's shift and enlargement of the box and are used as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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
_FIX = "get train.h5 of the stacked hourglass networks again"


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
        UserError: `train.h5` is absent or of another shape, or an image is absent.
    """
    rows = _read(raw / "train.h5")
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
