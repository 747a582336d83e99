"""Datasets in their native formats → records: the readers by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spinloop.datasets.coco import read_coco
from spinloop.datasets.h36m import read_h36m
from spinloop.datasets.lsp import read_lsp, read_lspet
from spinloop.datasets.mpi_inf_3dhp import read_mpi_inf_3dhp
from spinloop.datasets.mpi_inf_3dhp_test import read_mpi_inf_3dhp_test
from spinloop.datasets.mpii import read_mpii
from spinloop.datasets.photos import read_photos
from spinloop.datasets.pw3d import read_pw3d
from spinloop.errors import UserError
from spinloop.files import parsing
from spinloop.params.datasets import (
    CocoSource,
    H36mSource,
    LspetSource,
    LspSource,
    MpiInf3dhpSource,
    MpiInf3dhpTestSource,
    MpiiSource,
    PhotosSource,
    Pw3dSource,
)
from spinloop.params.loader import Section
from spinloop.tables.records import ReadCounts, Record


@dataclass(frozen=True)
class Reader:
    """One dataset's format."""

    source: type[Section]
    """What `sources.<split>` must look like for it."""
    read: Callable[..., Iterator[Record]]
    """(raw, split, source, is_official, counts) → records."""


READERS: dict[str, Reader] = {
    "coco": Reader(CocoSource, read_coco),
    "h36m": Reader(H36mSource, read_h36m),
    "lsp": Reader(LspSource, read_lsp),
    "lspet": Reader(LspetSource, read_lspet),
    "mpi_inf_3dhp": Reader(MpiInf3dhpSource, read_mpi_inf_3dhp),
    "mpi_inf_3dhp_test": Reader(MpiInf3dhpTestSource, read_mpi_inf_3dhp_test),
    "mpii": Reader(MpiiSource, read_mpii),
    "photos": Reader(PhotosSource, read_photos),
    "pw3d": Reader(Pw3dSource, read_pw3d),
}


def reader(name: str) -> Reader:
    """The reader of that name.

    Raises:
        UserError: there is none.
    """
    if name not in READERS:
        raise UserError(f"--source {name}: no such reader; one of {', '.join(sorted(READERS))}")
    return READERS[name]


def read_source(
    name: str, raw: Path, split: str, source: Section, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of one split.

    Args:
        name: the reader's.
        raw: the dataset's folder.
        split: the split's key.
        source: the reader's rules.
        is_official: the people and the order of the published preprocessing.
        counts: what is left out.

    Raises:
        UserError: there is no such folder, its content is not the dataset's, or nobody was kept.
    """
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder; unpack the dataset there or correct sources.{split}.raw")
    records = reader(name).read(raw, split, source, is_official, counts)
    while True:
        # Readers name file and key of the faults that they know; this is for all others.
        with parsing(str(raw), f"a dataset that the reader {name} knows", "unpack the dataset there again"):
            record = next(records, None)
        if record is None:
            break
        yield record
    if not counts.n_kept:
        raise UserError(
            f"{raw}: {counts.summary()}; check the folder, or loosen the rules in sources.{split}"
        )
