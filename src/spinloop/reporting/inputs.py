"""Reading what earlier stages wrote."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinloop.errors import UserError
from spinloop.files import read_json, require_file
from spinloop.reporting.results import Setting

_FIRST_COLOR = 0


def load_settings(
    names: Sequence[str],
    metrics: Sequence[Path],
    fits_metrics: Sequence[Path],
    history: Sequence[Path],
    fits_table: Sequence[Path],
    joint_errors_mm: Sequence[Mapping[str, float]],
) -> list[Setting]:
    """One result per training.

    Args:
        names: of the settings; all other arguments have one entry for each, in the same order.
        metrics: JSON of `evaluate`.
        fits_metrics: JSON of `evaluate_fits`.
        history: CSV of `train`.
        fits_table: CSV of `evaluate_fits`.
        joint_errors_mm: mean error of each joint on the test split.

    Raises:
        UserError: a file is absent or belongs to another setting.
    """
    settings = []
    columns = zip(names, metrics, fits_metrics, history, fits_table, joint_errors_mm, strict=True)
    for color, (name, *paths, joints) in enumerate(columns, _FIRST_COLOR):
        measured, fits = (_read_own(path, name) for path in paths[:2])
        curve, dictionary = (pd.read_csv(require_file(path, "train first")) for path in paths[2:])
        settings.append(Setting(name, color, measured, fits, curve, dictionary, joints))
    return settings


def same_length(names: Sequence[str], **options: Sequence[Path]) -> None:
    """Check that every option was given once per setting.

    Raises:
        UserError: one was not; it is named.
    """
    for name, values in options.items():
        if len(values) != len(names):
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option}: given {len(values)} times for {len(names)} settings; give one for each"
            )


def load_stats(paths: Sequence[Path]) -> dict[str, Any]:
    """Statistics of earlier steps by the files' names.

    Raises:
        UserError: a file is absent or holds no statistics.
    """
    stats = {}
    for path in paths:
        content = read_json(path)
        for key in ("read", "kept", "left_out", "noted"):
            if key not in content:
                raise UserError(f"{path}: {key}: missing; this is not a statistics file, remake it")
        stats[path.stem.replace("_", " ")] = content
    return stats


def count_names(numbers: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How often each name occurs; names that never do are left out."""
    counts = Counter(numbers.tolist())
    return {name: counts[position] for position, name in enumerate(names) if counts[position]}


def _read_own(path: Path, name: str) -> dict[str, Any]:
    content = read_json(path)
    if content.get("setting") != name:
        raise UserError(
            f"{path}: setting: expected {name!r}, found {content.get('setting')!r}; mend the order"
        )
    return content
