"""MPII Human Pose → records.

Expected tree: `images/` as distributed, and beside it `train.h5`, the training annotation of the stacked
hourglass networks (`imgname`, `center`, `scale`, `part`: N × 16 × 2), whose center and scale already hold
that project's shift and enlargement of the box and are used as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Float

from spinloop.datasets.joint_rows import common_joints, make_record
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.joints import JointSet
from spinloop.params.datasets import MpiiSource
from spinloop.tables.records import Box, ReadCounts, Record, make_id

# MPII's 16 joints by the names of the 24; its upper neck and head top are LSP's neck and top of the head.
MPII16: JointSet = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis_mpii",
    "thorax_mpii", "neck_lsp", "head_top_lsp", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_CURE = "get train.h5 of the stacked hourglass networks again"


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
        counts: what is left out: `joint_missing` (official only), and see `joint_rows.make_record`.

    Raises:
        UserError: `train.h5` is absent or of another shape, or an image is absent.
    """
    rows = _read(raw / "train.h5")
    numbers = range(len(rows.names))
    for number in numbers if is_official else sorted(numbers, key=lambda one: (rows.names[one], one)):
        image = f"images/{rows.names[number]}"
        # A joint that nobody annotated stands at (0, 0) or below.
        is_annotated = rows.joints[number].min(axis=1) > 0
        if is_official and not is_annotated.all():
            counts.leave_out("joint_missing", make_id(split, image, number))
            continue
        keypoints = common_joints(rows.joints[number], is_annotated, MPII16)
        box = Box(rows.centers[number], float(rows.scales[number])) if rows.scales[number] > 0 else None
        rules = source.box_factor, source.min_limb_joints, is_official
        record = make_record(raw, split, image, number, keypoints, box, *rules)
        if isinstance(record, str):
            counts.leave_out(record, make_id(split, image, number))
            continue
        counts.keep()
        yield record


def _read(path: Path) -> _Rows:
    require_file(path, _CURE)
    try:
        with h5py.File(path, "r") as file:
            parts = {key: np.asarray(file[key]) for key in ("imgname", "center", "scale", "part")}
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: damaged or not that file ({error}); {_CURE}") from None
    count = len(parts["imgname"])
    shapes = {"center": (count, 2), "scale": (count,), "part": (count, len(MPII16), 2)}
    for key, shape in shapes.items():
        if parts[key].shape != shape:
            raise UserError(f"{path}: {key}: expected shape {shape}, found {parts[key].shape}; {_CURE}")
    names = [bytes(name).rstrip(b"\0").decode("utf-8") for name in parts["imgname"]]
    return _Rows(names, *(parts[key].astype(np.float64) for key in shapes))
