"""Command `pack_crops`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import AnnotationsTable, Out, ParamsFile, RawFolder


def run(
    *,
    annotations: AnnotationsTable,
    raw: RawFolder,
    out: Annotated[Out, Option(help="Packed crops (HDF5).")],
    stats: Annotated[
        Out, Option(help="Number of packed crops, and people whose image cannot be read (JSON).")
    ],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Pack the image region of every person as JPEG into one file.

    Each image is decoded once. The regions leave room for rotation and zoom, so that training does not open
    the originals.
    """
    from spinloop.files import write_json
    from spinloop.params.datasets import CropsParams
    from spinloop.params.loader import load_section
    from spinloop.progress import progress, say
    from spinloop.tables.crops import pack_crops
    from spinloop.tables.records import ReadCounts, iterate_records
    from spinloop.tables.table import count_rows

    rules = load_section(params, "crops", CropsParams)
    counts = ReadCounts()
    total = count_rows(annotations, "make it with `spinloop preprocess`")
    records = progress(iterate_records(annotations), "pack crops", total)
    pack_crops(out, records, raw, rules, counts)
    write_json(stats, {**counts.stats(), "bytes_per_crop": out.stat().st_size / max(1, counts.n_kept)})
    say(f"pack_crops: {counts.summary()}")
