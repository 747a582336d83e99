"""What the report knows of each training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spinloop.reporting.table import Estimate, Origin

DATASETS = {"pw3d": "3DPW", "coco": "COCO"}
LABELS = {"static": "static fits", "loop": "fits in the loop"}


@dataclass(frozen=True)
class Split:
    """Where numbers come from."""

    reader: str
    """Key of the dataset's format."""
    is_mirror: bool
    """Whether the people are rendered."""

    @property
    def dataset(self) -> str:
        """Name of the real dataset."""
        return DATASETS.get(self.reader, self.reader)

    @property
    def label(self) -> str:
        """Name for people."""
        return f"mirror of {self.dataset}" if self.is_mirror else self.dataset

    @property
    def origin(self) -> Origin:
        """How its rows are marked."""
        return "mirror" if self.is_mirror else "measured"


@dataclass(frozen=True)
class Setting:
    """One training: how its network did on the test split, and its dictionary on the training split."""

    name: str
    """Key, as in `params.yaml`."""
    color: int
    """Number of its color in every chart."""
    metrics: Mapping[str, Any]
    """What `evaluate` wrote."""
    fits: Mapping[str, Any]
    """What `evaluate_fits` wrote."""
    history: pd.DataFrame
    """Loss terms over the steps."""
    dictionary: pd.DataFrame
    """Quality of the dictionary over the steps."""
    joint_errors_mm: Mapping[str, float]
    """Mean error of each joint on the test split, after alignment."""

    @property
    def label(self) -> str:
        """Name for people."""
        return LABELS.get(self.name, self.name)


def estimate(numbers: Mapping[str, Any], name: str) -> Estimate:
    """A number with its interval out of flat metrics."""
    return Estimate(numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"])
