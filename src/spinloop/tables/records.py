"""The record of an annotated person, whatever the dataset it comes from.

Frames and units: 2D in pixels of the original image (x right, y down, origin at the outer corner of the
first pixel); 3D in metres, camera axes (x right, y down, z away), relative to the root; angles in radians,
the root's orientation in camera axes. Null means "not annotated". The square box has a center in px and a
scale (side / 200 px), as in MPII.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from spinloop.errors import UserError
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.joints import COMMON24, LIMB12, JointSet, index_map
from spinloop.tables.images import read_size_or_none
from spinloop.tables.schema import Column, Layout
from spinloop.tables.table import iterate_table, load_table, open_writer, read_words, stack

N_COMMON = len(COMMON24)
GENDERS = ("female", "male", "neutral")
_FIX = "make it with `spinloop preprocess`, which writes data/annotations/<split>.parquet"
_FAR_PX = 1.0e5
_FAR_M = 5.0

RECORD = Layout(
    "record@2",
    (
        Column("id", "string", "<split>/<image>#<person>, see make_id"),
        Column("image", "string", "path relative to the dataset's folder, / between its parts"),
        Column("image_height", "int32", "height of the image", "px", lower=1.0),
        Column("image_width", "int32", "width of the image", "px", lower=1.0),
        Column("center", "float64", "middle of the person's box", "px", (2,), lower=-_FAR_PX, upper=_FAR_PX),
        Column("scale", "float64", "side of the square box", "200 px", lower=1e-3, upper=_FAR_PX / 200),
        Column(
            "keypoints", "float32", "joints.COMMON24: x, y of the original image, confidence", "px, px, 1",
            (N_COMMON, 3), lower=-_FAR_PX, upper=_FAR_PX, has_confidence=True, is_nullable=True,
        ),
        Column(
            "joints_3d", "float32", "joints.COMMON24: x, y, z relative to the root, camera axes, confidence",
            "m, m, m, 1", (N_COMMON, 4), lower=-_FAR_M, upper=_FAR_M, has_confidence=True, is_nullable=True,
        ),
        Column(
            "pose", "float32", "axis-angle of the 24 SMPL joints, the root in camera axes", "rad",
            (72,), lower=-20.0, upper=20.0, is_nullable=True,
        ),
        Column(
            "betas", "float32", "SMPL shape coefficients", "standard deviations",
            (10,), lower=-50.0, upper=50.0, is_nullable=True,
        ),
        Column("gender", "string", "body model of the parameters", choices=GENDERS, is_nullable=True),
        Column("sequence", "string", "name of the video or recording", is_nullable=True),
        Column("activity", "string", "what the person does, in the source's words", is_nullable=True),
        Column("frame", "int32", "0-based number of the frame in it", lower=0.0, is_nullable=True),
        Column("person", "int32", "the source's own number of the person", lower=0.0, is_nullable=True),
        Column("mask", "string", "image whose pixels above 0 show the person, as `image`", is_nullable=True),
        Column(
            "parts", "string", "image of part labels 1–6, 0 beside the person, 255 to ignore, as `image`",
            is_nullable=True,
        ),
        Column(
            "image_id", "string", "the image in the annotation file, if it numbers images", is_nullable=True,
            may_be_absent=True,
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One annotated person; a row of a record table (columns and units: `RECORD`)."""

    id: str
    image: str
    image_height: int
    image_width: int
    center: Float[np.ndarray, " 2"]
    scale: float
    keypoints: Float[np.ndarray, "24 3"] | None = None
    joints_3d: Float[np.ndarray, "24 4"] | None = None
    pose: Float[np.ndarray, " 72"] | None = None
    betas: Float[np.ndarray, " 10"] | None = None
    gender: str | None = None
    sequence: str | None = None
    activity: str | None = None
    frame: int | None = None
    person: int | None = None
    mask: str | None = None
    parts: str | None = None
    image_id: str | None = None

    def row(self) -> dict[str, Any]:
        """Column names to values."""
        return dict(vars(self))


def make_id(split: str, image: str, person: int) -> str:
    """The name of an annotated person, the same in every file of the pipeline.

    Args:
        split: the split's key, e.g. `coco_train`.
        image: path of the image relative to the dataset's folder.
        person: the source's own number of the person (COCO: the annotation's id; 3DPW: the place in its
            list).

    Raises:
        UserError: the path leads out of the dataset's folder.
    """
    if image.startswith("/") or ".." in image.split("/") or "\0" in image:
        raise UserError(f"{image!r}: this image is not below the dataset's folder; correct its name")
    return f"{split}/{image}#{person}"


class Box(NamedTuple):
    """A square box."""

    center: Float[np.ndarray, " 2"]
    """Px of the original image."""
    scale: float
    """Side / 200 px."""


def bounding_square(points: Float[np.ndarray, "N 2"], factor: float) -> Box | None:
    """The square around points (px), `factor` times as wide as their longer extent.

    Returns:
        None if the points have no extent.

    Source:
        SPIN's `datasets/preprocess/`.
    """
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    side = float((high - low).max())
    if side <= 0:
        return None
    return Box((low + high) / 2, factor * side / BOX_UNIT_PX)


def common_joints(
    joints: Float[np.ndarray, "*N J 2"], is_annotated: Bool[np.ndarray, "*N J"], names: JointSet
) -> Float[np.ndarray, "*N 24 3"]:
    """`joints.COMMON24` (px, confidence 0 or 1) of joints that have those names; zeros elsewhere."""
    common = np.zeros((*joints.shape[:-2], N_COMMON, 3))
    places = list(_places(names))
    common[..., places, :2] = np.where(is_annotated[..., None], joints, 0.0)
    common[..., places, 2] = is_annotated
    return common


def root_relative_joints(
    joints: Float[np.ndarray, "*N J 3"], names: JointSet, root: str
) -> Float[np.ndarray, "*N 24 4"]:
    """`joints.COMMON24` (m, confidence 0 or 1) of joints that have those names, relative to one of them.

    Args:
        joints: metres, camera axes.
        names: names of `joints.COMMON24`.
        root: the name of the joint that becomes the origin.
    """
    common = np.zeros((*joints.shape[:-2], N_COMMON, 4))
    places = list(_places(names))
    common[..., places, :3] = joints - joints[..., names.index(root), None, :]
    common[..., places, 3] = 1.0
    return common


def finite_rows(*arrays: Float[np.ndarray, "N ..."]) -> Bool[np.ndarray, " N"]:
    """True where all numbers of a row of all arrays are finite."""
    return np.all([np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays], axis=0)


@lru_cache
def _places(names: JointSet) -> tuple[int, ...]:
    return index_map(COMMON24, names)


def record_of_joints(
    raw: Path,
    record_id: str,
    image: str,
    person: int,
    keypoints: Float[np.ndarray, "24 3"],
    box: Box | None,
    box_factor: float,
    min_limb_joints: int,
    keeps_outside: bool,
) -> Record | str:
    """The record of a person with 2D joints, or the reason to leave the person out.

    Args:
        raw: the dataset's folder.
        record_id: see `make_id`.
        image: path of the image below `raw`.
        person: the source's number.
        keypoints: `joints.COMMON24`.
        box: the source's own box; None for the square around the joints.
        box_factor: side of that square / longer extent of the joints.
        min_limb_joints: joints of arms and legs that a person needs.
        keeps_outside: keep joints outside the image, as the published preprocessing does; otherwise they
            count as not annotated.

    Raises:
        UserError: the image is absent.
    """
    size = read_size_or_none(raw / image)
    if size is None:
        return "unreadable_image"
    x, y = keypoints[:, 0], keypoints[:, 1]
    is_inside = (x >= 0) & (x <= size[1]) & (y >= 0) & (y <= size[0])
    if not keeps_outside:
        keypoints = np.where(is_inside[:, None], keypoints, 0.0)
    is_annotated = keypoints[:, 2] > 0
    if not is_annotated.any():
        return "no_visible_joint"
    if is_annotated[: len(LIMB12)].sum() < min_limb_joints:
        return "too_few_limb_joints"
    box = box or bounding_square(keypoints[is_annotated, :2], box_factor)
    if box is None:
        return "empty_box"
    return Record(record_id, image, *size, box.center, box.scale, keypoints=keypoints, person=person)


def save_records(path: Path, records: Iterable[Record]) -> int:
    """Write a record table as the records come, in flat memory; returns how many there were.

    Raises:
        UserError: a record breaks the layout, or an id is there twice.
    """
    count = 0
    with open_writer(path, RECORD) as writer:
        for record in records:
            writer.write(record.row())
            count += 1
    return count


def load_records(path: Path) -> pd.DataFrame:
    """Read and check a record table (see `table.load_table`): cells are arrays in their shape, or None."""
    return load_table(path, RECORD, _FIX)


def iterate_records(path: Path) -> Iterator[Record]:
    """Read and check a record table one by one, in flat memory."""
    for row in iterate_table(path, RECORD, _FIX):
        yield Record(**row)


def load_images(path: Path) -> list[tuple[str, str | None]]:
    """The images of a record table, each once, in its order: path and `image_id`."""
    return list(dict.fromkeys(read_words(path, RECORD, ("image", "image_id"), _FIX)))


def column_array(frame: pd.DataFrame | Mapping[str, Any], name: str) -> Float[np.ndarray, "N ..."]:
    """An array column as one float32 array (N, *shape); NaN where a row has no annotation."""
    return stack(frame[name], RECORD[name].shape)


_N_EXAMPLES = 3


class ReadCounts:
    """How many rows a stage read, kept and left out, and why; `stats()` goes into its statistics file."""

    def __init__(self) -> None:
        self.n_read = 0
        self.n_kept = 0
        self._left_out: Counter[str] = Counter()
        self._flagged: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def keep(self) -> None:
        """One row was read and kept."""
        self.n_read += 1
        self.n_kept += 1

    def leave_out(self, reason: str, example: str) -> None:
        """One row was read and left out.

        Args:
            reason: an identifier, e.g. `no_visible_joint`.
            example: the row's id; the first few of each reason are kept.
        """
        self.n_read += 1
        self._count(self._left_out, reason, example)

    def flag(self, finding: str, example: str) -> None:
        """Count a finding about a row that is kept, or about a file; e.g. `no_person`."""
        self._count(self._flagged, finding, example)

    def _count(self, counter: Counter[str], reason: str, example: str) -> None:
        counter[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _N_EXAMPLES:
            examples.append(example)

    def stats(self) -> dict[str, Any]:
        """For JSON: `read`, `kept`, `left_out` and `noted` (by reason), `examples` (ids, by reason)."""
        return {
            "read": self.n_read,
            "kept": self.n_kept,
            "left_out": dict(self._left_out),
            "noted": dict(self._flagged),
            "examples": self._examples,
        }

    def summary(self) -> str:
        """One line for the screen."""
        parts = [f"{self.n_kept} of {self.n_read} kept"]
        if self._left_out:
            parts.append(f"left out: {_words(self._left_out)}")
        if self._flagged:
            parts.append(f"noted: {_words(self._flagged)}")
        return "; ".join(parts)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in sorted(counts.items()))
