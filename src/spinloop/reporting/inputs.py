"""Reading what earlier stages wrote: what is absent is left out, what is there must be what its name says."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.manifest import Summary
from spinloop.params.training import SettingParams
from spinloop.reporting.charts import N_COLORS
from spinloop.reporting.results import Setting


def load_settings(
    settings: Mapping[str, SettingParams],
    tests: Sequence[str],
    trains: Sequence[str],
    metrics: Path,
    training: Path,
    dictionary: Path,
) -> list[Setting]:
    """One result per training.

    Args:
        settings: name → its choices, in the order of the tables.
        tests: test splits.
        trains: training splits whose fits are measured.
        metrics: folder of `evaluate`'s JSON; below it `dictionary`, those of `evaluate_fits`; each file is
            `<setting>_<split>.json`.
        training: folder of the loss curves, `<setting>.csv`.
        dictionary: folder of the dictionaries' quality, `<setting>_<split>.csv`.

    Raises:
        UserError: a file is faulty or belongs to another setting or split.
    """
    found, choices = [], Counter(settings.values())
    for color, (name, choice) in enumerate(settings.items()):
        curve = training / f"{name}.csv"
        tables = {split: dictionary / f"{name}_{split}.csv" for split in trains}
        found.append(
            Setting(
                name=name,
                loop=choice.loop,
                use_3d=choice.use_3d,
                is_only=choices[choice] == 1,
                color=color % N_COLORS,
                history=pd.read_csv(curve) if curve.is_file() else pd.DataFrame({"step": []}),
                results=_read_own(metrics, name, tests),
                fits=_read_own(metrics / "dictionary", name, trains),
                dictionary={split: pd.read_csv(path) for split, path in tables.items() if path.is_file()},
            )
        )
    return found


def load_refits(folder: Path, tests: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `fit_predictions` wrote of each test split, `<split>.json` in a folder.

    Raises:
        UserError: a file is faulty or belongs to another split.
    """
    paths = {split: folder / f"{split}.json" for split in tests}
    found = {split: read_json(path) for split, path in paths.items() if path.is_file()}
    for split, content in found.items():
        _check_owner(paths[split], content, {"split": split})
    return found


def load_starts(folder: Path, trains: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `evaluate_starts` wrote of each training split, `<split>.json` in a folder."""
    paths = {split: folder / f"{split}.json" for split in trains}
    return {split: read_json(path) for split, path in paths.items() if path.is_file()}


def load_stats(folder: Path) -> dict[str, Any]:
    """Statistics of earlier steps by the files' names.

    Raises:
        UserError: a file holds no statistics.
    """
    stats = {}
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        for key in ("read", "kept", "left_out", "noted"):
            if key not in content:
                raise UserError(f"{path}: {key}: missing; this is not a statistics file, remake it")
        stats[path.stem.replace("_", " ")] = content
    return stats


def load_raw_lists(folder: Path, names: Iterable[str]) -> dict[str, Summary]:
    """What `list_raw` said of some datasets, by name; from the folder of statistics."""
    paths = {name: folder / "raw" / f"{name}.json" for name in names}
    return {name: Summary(**read_json(path)) for name, path in paths.items() if path.is_file()}


def count_names(numbers: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How often each name occurs; names that never do are left out."""
    counts = Counter(numbers.tolist())
    return {name: counts[position] for position, name in enumerate(names) if counts[position]}


def _read_own(folder: Path, name: str, splits: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for split in splits:
        path = folder / f"{name}_{split}.json"
        if path.is_file():
            found[split] = read_json(path)
            _check_owner(path, found[split], {"setting": name, "split": split})
    return found


def _check_owner(path: Path, content: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    for key, expected in wanted.items():
        if content.get(key) != expected:
            raise UserError(
                f"{path}: {key}: expected {expected!r}, found {content.get(key)!r}; measure it again"
            )
