"""Numbers by sequence, scene and activity."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from spinloop.evaluation.protocols import Breakdown

# MPI-INF-3DHP's test sequences (its test tool).
_SCENES = {
    "TS1": "green screen",
    "TS2": "green screen",
    "TS3": "no green screen",
    "TS4": "no green screen",
    "TS5": "outdoor",
    "TS6": "outdoor",
}


def labels_of(records: pd.DataFrame, breakdown: Breakdown) -> Shaped[np.ndarray, " N"] | None:
    """Each person's sequence, scene or activity; None where the table does not tell.

    Args:
        records: annotated people; an older table has no `activity`.
        breakdown: which.
    """
    column = "activity" if breakdown == "activity" else "sequence"
    if column not in records or any(records[column].isna()):
        return None
    names = records[column].to_numpy(dtype=str)
    if breakdown != "scene":
        return names
    scenes = [_SCENES.get(name) for name in names]
    return None if None in scenes else np.array(scenes, dtype=str)


def means_by(labels: Shaped[np.ndarray, " N"], values: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Count and mean of every value for each label, by name.

    Args:
        labels: one per person.
        values: one number per person, by metric.
    """
    table = {}
    for label in np.unique(labels):
        chosen = labels == label
        means = {name: float(array[chosen].mean()) for name, array in values.items()}
        table[str(label)] = {"n": int(chosen.sum()), **means}
    return table
