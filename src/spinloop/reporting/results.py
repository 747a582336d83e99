"""What the report knows of each training and each split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

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
