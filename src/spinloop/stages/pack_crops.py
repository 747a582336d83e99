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
    split: Annotated[
        str | None, Option(help="Name of the split, whose source may ask for crops without loss.")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Pack the image region of every person into one file, as JPEG or without loss.

    Each image is decoded once. The regions leave room for rotation and zoom, so that training does not open
    the originals.
    """
    from spinloop.files import write_json
    from spinloop.params.datasets import CropsParams, SourcesParams
    from spinloop.params.loader import load_section, require_choice
    from spinloop.progress import progress, say
    from spinloop.tables.crops import pack_crops
    from spinloop.tables.records import ReadCounts, iterate_records
    from spinloop.tables.table import count_rows

    rules = load_section(params, "crops", CropsParams)
    is_lossless = False
    if split is not None:
        require_choice(params, "sources", split, "--split")
        is_lossless = load_section(params, "sources", SourcesParams).root[split].lossless
    counts = ReadCounts()
    total = count_rows(annotations, "make it with `spinloop preprocess`")
    records = progress(iterate_records(annotations), "pack crops", total)
    pack_crops(out, records, raw, rules, counts, is_lossless)
    write_json(stats, {**counts.stats(), "bytes_per_crop": out.stat().st_size / max(1, counts.n_kept)})
    say(f"pack_crops: {counts.summary()}")
