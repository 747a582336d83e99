"""Command `preprocess`."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from spinloop.options import Out, ParamsFile, RawFolder, StatisticsFile


def run(
    *,
    split: Annotated[
        str,
        Option(help="Name of the split, a key of `sources` in params.yaml and the first part of every id."),
    ],
    source: Annotated[str, Option(help="Format of the dataset, e.g. `coco` or `pw3d`.")],
    raw: RawFolder,
    out: Annotated[Out, Option(help="Table of annotated people (Parquet).")],
    stats: StatisticsFile,
    compat: Annotated[
        Literal["none", "official"],
        Option(help="`official` keeps the people and the order of the published preprocessing."),
    ] = "none",
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Read a dataset in its own format into a table with one row for each annotated person.

    People who cannot be used are left out; the statistics say why.
    """
    from spinloop.datasets import read_source, reader
    from spinloop.files import write_json
    from spinloop.params.loader import load_section, require_choice
    from spinloop.progress import progress, say
    from spinloop.tables.records import ReadCounts, save_records

    require_choice(params, "sources", split, "--split")
    rules = load_section(params, f"sources.{split}", reader(source).source)
    counts = ReadCounts()
    records = read_source(source, raw, split, rules, compat == "official", counts)
    save_records(out, progress(records, f"preprocess {split}"))
    write_json(stats, {"split": split, "source": source, "compat": compat, **counts.stats()})
    say(f"{split}: {counts.summary()}")
