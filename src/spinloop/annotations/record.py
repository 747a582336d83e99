"""The one record of an annotated person, whatever the dataset it comes from.

Frames and units: 2D in pixels of the original image (x right, y down, origin at the outer corner of the
first pixel); 3D in metres, camera axes (x right, y down, z away), relative to the root; angles in radians,
the root's orientation in camera axes. A null is "not annotated".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from spinloop.annotations.check import Column
from spinloop.annotations.table import Layout, iterate_table, load_table, open_writer, stack
from spinloop.joints import COMMON24

N_COMMON = len(COMMON24)
GENDERS = ("female", "male", "neutral")
_CURE = "make it with `spinloop preprocess`, which writes data/annotations/<split>.parquet"
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

    def row(self) -> dict[str, Any]:
        """Column names to values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def make_id(split: str, image: str, person: int) -> str:
    """The name of an annotated person, the same in every file of the pipeline.

    Args:
        split: the split's key, e.g. `coco_train`.
        image: path of the image relative to the dataset's folder.
        person: the source's own number of the person (COCO: the annotation's id; 3DPW: the place in its
            list).
    """
    return f"{split}/{image}#{person}"


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
    return load_table(path, RECORD, _CURE)


def iterate_records(path: Path) -> Iterator[Record]:
    """Read and check a record table one by one, in flat memory."""
    for row in iterate_table(path, RECORD, _CURE):
        yield Record(**row)


def column_array(frame: pd.DataFrame | Mapping[str, Any], name: str) -> Float[np.ndarray, "N ..."]:
    """An array column as one float32 array (N, *shape); NaN where a row has no annotation."""
    return stack(frame[name], RECORD[name].shape)
