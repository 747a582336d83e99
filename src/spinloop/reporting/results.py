"""What the report knows of each training and each split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
LABELS = {"static": "static fits", "loop": "fits in the loop"}


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
    def label(self) -> str:
        """Name for people."""
        name = f"mirror of {self.dataset}" if self.is_mirror else self.dataset
        protocols = {"h36m_p1": ", all cameras", "h36m_p2": ", frontal camera"}
        return name + protocols.get(self.protocol.split("@")[0], "")

    @property
    def origin(self) -> Origin:
        """How its rows are marked."""
        return "mirror" if self.is_mirror else "measured"


@dataclass(frozen=True)
class Setting:
    """One training: how its network did on every test split, and its dictionaries on training splits."""

    name: str
    """Key, as in `params.yaml`."""
    color: int
    """Number of its color in every chart."""
    history: pd.DataFrame
    """Loss terms over the steps; empty if there is no record."""
    results: Mapping[str, Mapping[str, Any]]
    """Test split → what `evaluate` wrote."""
    refits: Mapping[str, Mapping[str, Any]]
    """Test split → what `fit_predictions` wrote."""
    fits: Mapping[str, Mapping[str, Any]]
    """Training split → what `evaluate_fits` wrote."""
    dictionary: Mapping[str, pd.DataFrame]
    """Training split → quality of the dictionary over the steps."""

    @property
    def label(self) -> str:
        """Name for people."""
        return LABELS.get(self.name, self.name.replace("_", " "))


def estimate(numbers: Mapping[str, Any], name: str) -> Estimate | None:
    """A number with its interval out of flat metrics; None if it was not measured."""
    if name not in numbers:
        return None
    return Estimate(numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"])


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
