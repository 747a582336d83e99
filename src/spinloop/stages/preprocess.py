"""Read a dataset in its own format into a table with one row per annotated person."""

from pathlib import Path
from typing import Literal

from spinloop.datasets import read_source, reader
from spinloop.files import write_json
from spinloop.params.datasets import SourcesParams
from spinloop.params.loader import load_section, require_choice
from spinloop.progress import progress, say
from spinloop.tables.records import ReadCounts, save_records

SECTIONS = {"sources": SourcesParams}


def run(
    *,
    split: str,
    source: str,
    raw: Path,
    out: Path,
    stats: Path,
    compat: Literal["none", "official"] = "none",
    params: Path = Path("params.yaml"),
) -> None:
    """Read, check, count: people who cannot be used are left out, and the statistics say why.

    Args:
        split: name of the split: the key of its rules in the section `sources`, first part of every id.
        source: the dataset's format, e.g. coco or pw3d.
        raw: the dataset's folder, in the layout in which it is distributed.
        out: the table (Parquet).
        stats: what was read, kept and left out (JSON).
        compat: official keeps the people, and the order, of the published preprocessing.
        params: parameter file; section `sources`.
    """
    require_choice(params, "sources", split, "--split")
    rules = load_section(params, f"sources.{split}", reader(source).source)
    counts = ReadCounts()
    records = read_source(source, raw, split, rules, compat == "official", counts)
    save_records(out, progress(records, f"preprocess {split}"))
    write_json(stats, {"split": split, "source": source, "compat": compat, **counts.stats()})
    say(f"{split}: {counts.summary()}")
