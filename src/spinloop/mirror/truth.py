"""The truth of a mirror: what made each person's picture. No reader and no training ever sees this table."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinloop.annotations.check import Column
from spinloop.annotations.record import GENDERS
from spinloop.annotations.table import Layout, load_table, save_table
from spinloop.mirror.camera import Camera
from spinloop.mirror.people import Person

TRUTH = Layout(
    "truth@1",
    (
        Column("id", "string", "<split>/<image>#<person>, as the reader of the format names the person"),
        Column("pose", "float32", "axis-angle of the 24 joints, the root in camera axes", "rad", (72,)),
        Column("betas", "float32", "shape coefficients", "sd", (10,)),
        Column("gender", "string", "the body that they belong to", choices=GENDERS),
        Column("translation", "float64", "added to the model's points, camera axes", "m", (3,)),
        Column("camera", "float64", "focal length and principal point x, y of the image", "px", (3,)),
    ),
)


def truth_row(key: str, person: Person, camera: Camera) -> dict[str, Any]:
    """The row of one person.

    Args:
        key: `annotations.record.make_id` of the person.
        person: as drawn.
        camera: that drew it.
    """
    return {
        "id": key,
        "pose": person.pose,
        "betas": person.character.betas,
        "gender": person.character.gender,
        "translation": person.translation,
        "camera": np.array([camera.focal_px, *camera.center_px]),
    }


def save_truth(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the table, atomically."""
    save_table(path, TRUTH, rows)


def load_truth(path: Path) -> pd.DataFrame:
    """Read and check the table; array columns hold arrays.

    Raises:
        UserError: the file is absent, damaged or of another layout.
    """
    return load_table(path, TRUTH, "make it with `spinloop mirror_<dataset>`")
