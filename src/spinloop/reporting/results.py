"""What the report knows of each training and each split.

Reading what earlier stages wrote: what is absent is left out, what is there must be what its name says.

Errors of joints that a detector or annotator sees, and of those hidden from it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from spinloop.datasets.raw_files import Summary
from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.params.training import SettingParams
from spinloop.reporting.charts import N_COLORS
from spinloop.reporting.table import Estimate, Origin

DATASETS = {
    "coco": "COCO",
    "h36m": "Human3.6M",
    "lsp": "LSP",
    "lspet": "LSP extended",
    "mpi_inf_3dhp": "MPI-INF-3DHP",
    "mpii": "MPII",
    "pw3d": "3DPW",
}


@dataclass(frozen=True)
class Split:
    """Where numbers come from."""

    key: str
    """Its name in files, ids and parameters."""
    reader: str
    """Key of the dataset's format."""
    is_mirror: bool
    """Whether the people are rendered."""
    protocol: str = ""
    """Full name of the protocol that measures it, e.g. `pw3d@1`."""

    @property
    def dataset(self) -> str:
        """Name of the real dataset."""
        return DATASETS.get(self.reader.removesuffix("_test"), self.reader)

    @property
    def place(self) -> str:
        """Name of the real dataset, and which part of it."""
        parts = {"h36m_p1": ", all cameras", "h36m_p2": ", frontal camera"}
        return self.dataset + parts.get(self.protocol.split("@")[0], "")

    @property
    def label(self) -> str:
        """Name for people."""
        return f"mirror of {self.place}" if self.is_mirror else self.place

    @property
    def origin(self) -> Origin:
        """How its rows are marked."""
        return "mirror" if self.is_mirror else "measured"


@dataclass(frozen=True)
class Setting:
    """One training: how its network did on every test split, and its dictionaries on training splits."""

    name: str
    """Key, as in `params.yaml`."""
    loop: bool
    """Whether fits are made and kept while it trains."""
    use_3d: bool
    """Whether it learns from annotated 3D, too."""
    color: int
    """Number of its color in every chart."""
    history: pd.DataFrame
    """Loss terms over the steps; empty if there is no record."""
    results: Mapping[str, Mapping[str, Any]]
    """Test split → what `evaluate` wrote."""
    fits: Mapping[str, Mapping[str, Any]]
    """Training split → what `evaluate_fits` wrote."""
    dictionary: Mapping[str, pd.DataFrame]
    """Training split → quality of the dictionary over the steps."""
    is_only: bool = True
    """Whether no other training of the report has the same two choices."""

    @property
    def kind(self) -> str:
        """Which training of the paper it repeats: `static`, `unpaired` or `paired`."""
        if not self.loop:
            return "static"
        return "paired" if self.use_3d else "unpaired"

    @property
    def label(self) -> str:
        """Short name for people: what it does, whatever it is called."""
        names = {"static": "static fits", "unpaired": "unpaired loop", "paired": "paired loop"}
        name = "paired static fits" if self.kind == "static" and self.use_3d else names[self.kind]
        return name if self.is_only else f"{name} ({self.name})"

    @property
    def phrase(self) -> str:
        """Name for people within a sentence."""
        way = "training in the loop" if self.loop else "training on static fits"
        name = f"{'paired' if self.use_3d else 'unpaired'} {way}"
        return name if self.is_only else f"{name} ({self.name})"


class Counted(NamedTuple):
    """How often each of some names occurs."""

    numbers: Mapping[str, int]
    lineage: str
    """What they were counted in: kind of file and its hash."""


def estimate(numbers: Mapping[str, Any], name: str) -> Estimate | None:
    """A number with its interval out of flat metrics; None if it was not measured."""
    if name not in numbers:
        return None
    digits = 3 if name.endswith("f1") else None
    return Estimate(numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"], digits)


def made_from(*sources: Mapping[str, Any] | None) -> str:
    """Protocols and hashes of results, in words.

    Args:
        sources: what stages wrote, with `protocol` and `lineage` (kind of input → hash); None is left out.
    """
    protocols, kinds = dict[str, None](), dict[str, dict[str, None]]()
    for source in sources:
        if source is None:
            continue
        protocols[source["protocol"]] = None
        for kind, digest in source.get("lineage", {}).items():
            kinds.setdefault(kind, {})[digest] = None
    if not protocols:
        return ""
    hashes = [f"{kind} {', '.join(digests)}" for kind, digests in sorted(kinds.items())]
    return "; ".join([f"protocol {', '.join(protocols)}", *hashes])


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


# How many joints are hidden, in words, and the most that count so.
_BINS = (("none", 0), ("1 or 2", 2), ("3 to 5", 5), ("6 or more", 17))


@dataclass(frozen=True)
class Occlusion:
    """Errors by what is seen, of one training on one split; mm after alignment."""

    label: str
    """The training, for people."""
    by_joint: dict[str, tuple[float | None, float | None]]
    """Joint → mean error where it is seen, where it is not; None where that never happens."""
    by_count: dict[str, tuple[int, float]]
    """How many joints are hidden, in words → people, their mean error."""


def measure_occlusion(
    label: str,
    joints: Sequence[str],
    errors_mm: Float[np.ndarray, "N J"],
    is_seen: Bool[np.ndarray, "N J"],
) -> Occlusion | None:
    """Split the errors by what is seen in 2D.

    Args:
        label: the training, for people.
        joints: names.
        errors_mm: of each joint after alignment.
        is_seen: whether its 2D place is annotated.

    Returns:
        None where the split has no 2D joints.
    """
    if not is_seen.any():
        return None
    by_joint = {
        name: (_mean(errors_mm[is_seen[:, row], row]), _mean(errors_mm[~is_seen[:, row], row]))
        for row, name in enumerate(joints)
    }
    # A joint that nobody has in 2D is not hidden; the split does not annotate it.
    n_hidden = (~is_seen[:, is_seen.any(0)]).sum(1)
    by_count, fewer = {}, -1
    for name, most in _BINS:
        chosen = (n_hidden > fewer) & (n_hidden <= most)
        fewer = most
        if chosen.any():
            by_count[name] = (int(chosen.sum()), float(errors_mm[chosen].mean()))
    return Occlusion(label, by_joint, by_count)


def _mean(values: Float[np.ndarray, " N"]) -> float | None:
    return float(values.mean()) if len(values) else None
