"""Command `merge`."""

import itertools
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from spinloop.options import AnnotationsTable, DetectorFormat, Out, ParamsFile, StatisticsFile


def run(
    *,
    annotations: AnnotationsTable,
    out: Annotated[Out, Option(help="Table of merged keypoints (Parquet).")],
    stats: StatisticsFile,
    openpose: Annotated[
        Path | None,
        Option(
            help="Detections: a folder of OpenPose's files, `<image>_keypoints.json` at each image's path, "
            "or the files or file of another detector (docs/formats.md)."
        ),
    ] = None,
    format: DetectorFormat = "auto",
    compat: Annotated[
        Literal["none", "coco", "mpii", "other"],
        Option(help="Match as the published preprocessing did for this dataset."),
    ] = "none",
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Merge detections and the annotations: the 49 joints that bodies are fitted to.

    Each annotated person gets the detection that matches, or none.
    """
    from spinloop.files import write_json
    from spinloop.keypoints.detections import open_detections
    from spinloop.keypoints.joining import Named
    from spinloop.keypoints.merge import KEYPOINTS, merge_records
    from spinloop.params.datasets import MergeParams
    from spinloop.params.loader import load_section
    from spinloop.progress import progress, say
    from spinloop.tables.records import ReadCounts, iterate_records, load_images
    from spinloop.tables.table import count_rows, save_table

    rules = load_section(params, "merge", MergeParams)
    joined = None
    if openpose is not None:
        images = itertools.starmap(Named, load_images(annotations))
        joined = open_detections(openpose, format).joined(images)
    counts = ReadCounts()
    total = count_rows(annotations, "make it with `spinloop preprocess`")
    records = progress(iterate_records(annotations), "merge", total)
    published = None if compat == "none" else compat
    save_table(out, KEYPOINTS, merge_records(records, joined, rules, published, counts))
    write_json(stats, counts.stats() | ({"detections": joined.stats()} if joined else {}))
    say(f"merge: {counts.summary()}")
    if joined:
        say(f"merge: {joined.describe()}")
