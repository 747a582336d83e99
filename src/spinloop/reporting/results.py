"""What earlier stages wrote of each training and each split: metrics, training curves and statistics.

Absent files are left out of the report; a file that belongs to another training or split is an error.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spinloop.datasets.raw_files import Summary
from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.params.datasets import SourcesParams
from spinloop.params.training import SettingParams
from spinloop.reporting.tables import Origin

DATASETS = {
    "coco": "COCO",
    "h36m": "Human3.6M",
    "lsp": "LSP",
    "lspet": "LSP extended",
    "mpi_inf_3dhp": "MPI-INF-3DHP",
    "mpii": "MPII",
    "pw3d": "3DPW",
}
_CAMERAS = {"h36m_p1": ", all cameras", "h36m_p2": ", frontal camera"}


@dataclass(frozen=True)
class SplitInfo:
    """A split of a dataset, and the protocol that measures it."""

    key: str
    """Its name in files, ids and parameters."""
    reader: str
    """Key of the dataset's format."""
    is_mirror: bool
    """Whether the people are rendered."""
    protocol: str = ""
    """Full name of the protocol that measures it, e.g. `pw3d@1`; empty for a training split."""

    @property
    def dataset(self) -> str:
        """Name of the real dataset."""
        return DATASETS.get(self.reader.removesuffix("_test"), self.reader)

    @property
    def subset(self) -> str:
        """Name of the real dataset, and which of its cameras."""
        return self.dataset + _CAMERAS.get(self.protocol.split("@")[0], "")

    @property
    def label(self) -> str:
        """Name in tables and titles."""
        return f"mirror of {self.subset}" if self.is_mirror else self.subset

    @property
    def origin(self) -> Origin:
        """How rows measured on it are marked."""
        return "mirror" if self.is_mirror else "measured"


def split_info(key: str, sources: SourcesParams, protocol: str = "") -> SplitInfo:
    """Dataset and origin of a split.

    Args:
        key: the split's.
        sources: section `sources`; a dataset below a folder named `mirror` is a mirror.
        protocol: that measures it.
    """
    source = sources.root.get(key)
    if source is None:
        return SplitInfo(key, key, False, protocol)
    return SplitInfo(key, source.reader, "mirror" in Path(source.raw).parts, protocol)


@dataclass(frozen=True)
class TrainingResults:
    """One training of section `settings`: its choices, and what was measured of it."""

    name: str
    """Key, as in `params.yaml`."""
    loop: bool
    """Whether fits are made and kept during training."""
    use_3d: bool
    """Whether annotated 3D supervises it, too."""
    color: int
    """Number of its color in every chart."""
    history: pd.DataFrame
    """Loss terms by step; empty if there is no record."""
    results: Mapping[str, Mapping[str, Any]]
    """Test split → metrics of `evaluate`."""
    fits: Mapping[str, Mapping[str, Any]]
    """Training split → metrics of `evaluate_fits`."""
    dictionary: Mapping[str, pd.DataFrame]
    """Training split → quality of the dictionary by step."""
    is_only: bool = True
    """Whether no other training of the report makes the same two choices."""

    @property
    def kind(self) -> str:
        """The training of the paper that it corresponds to: `static`, `unpaired` or `paired`."""
        if not self.loop:
            return "static"
        return "paired" if self.use_3d else "unpaired"

    @property
    def label(self) -> str:
        """Short name in tables and charts; says what the training does, whatever its key."""
        names = {"static": "static fits", "unpaired": "unpaired loop", "paired": "paired loop"}
        name = "paired static fits" if self.kind == "static" and self.use_3d else names[self.kind]
        return name if self.is_only else f"{name} ({self.name})"

    @property
    def phrase(self) -> str:
        """Noun phrase for a sentence."""
        supervision = "training in the loop" if self.loop else "training on static fits"
        name = f"{'paired' if self.use_3d else 'unpaired'} {supervision}"
        return name if self.is_only else f"{name} ({self.name})"


def load_trainings(
    settings: Mapping[str, SettingParams],
    tests: Sequence[str],
    trains: Sequence[str],
    metrics: Path,
    training: Path,
    dictionary: Path,
) -> list[TrainingResults]:
    """Read the results of every training.

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
            TrainingResults(
                name=name,
                loop=choice.loop,
                use_3d=choice.use_3d,
                is_only=choices[choice] == 1,
                color=color,
                history=pd.read_csv(curve) if curve.is_file() else pd.DataFrame({"step": []}),
                results=_of_training(metrics, name, tests),
                fits=_of_training(metrics / "dictionary", name, trains),
                dictionary={split: pd.read_csv(path) for split, path in tables.items() if path.is_file()},
            )
        )
    return found


def load_refits(folder: Path, tests: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read what `fit_predictions` wrote of each test split, `<split>.json` in a folder.

    Raises:
        UserError: a file is faulty or belongs to another split.
    """
    found = _of_splits(folder, tests)
    for split, content in found.items():
        _check_owner(folder / f"{split}.json", content, {"split": split})
    return found


def load_starts(folder: Path, trains: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read what `evaluate_starts` wrote of each training split, `<split>.json` in a folder."""
    return _of_splits(folder, trains)


def load_statistics(folder: Path) -> dict[str, Any]:
    """Read the statistics of earlier stages, by the files' names.

    Raises:
        UserError: a file does not hold statistics.
    """
    stats = {}
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        for key in ("read", "kept", "left_out", "noted"):
            if key not in content:
                raise UserError(f"{path}: {key}: missing; this is not a statistics file, remake it")
        stats[path.stem.replace("_", " ")] = content
    return stats


def load_raw_summaries(folder: Path, names: Iterable[str]) -> dict[str, Summary]:
    """Read what `list_raw` wrote of some datasets, by name; from the folder of statistics."""
    return {name: Summary(**content) for name, content in _of_splits(folder / "raw", names).items()}


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


def _of_splits(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    paths = {name: folder / f"{name}.json" for name in names}
    return {name: read_json(path) for name, path in paths.items() if path.is_file()}


def _of_training(folder: Path, name: str, splits: Sequence[str]) -> dict[str, dict[str, Any]]:
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
