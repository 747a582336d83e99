"""Command `export_official`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import MAIN, AnnotationsTable, Out


def run(
    *,
    annotations: Annotated[AnnotationsTable, MAIN],
    out: Annotated[Out, Option(help="Annotation file (npz).")],
    keypoints: Annotated[
        Path | None, Option(help="Table of merged keypoints (Parquet), written as `openpose`.")
    ] = None,
) -> None:
    """Write our tables as an annotation file of SPIN (dataset_extras).

    Rows are in the order of the annotations. The file has `imgname`, `center` and `scale`; it has `part`,
    `openpose`, `S`, `pose`, `shape`, `gender`, `maskname` and `partname` if any person has them; SPIN
    ignores a further array, `id`.
    """
    from spinloop.datasets.spin import save_extras
    from spinloop.joints import N_OPENPOSE
    from spinloop.keypoints.merge import KEYPOINTS
    from spinloop.progress import say
    from spinloop.tables.records import iterate_records
    from spinloop.tables.table import iterate_table

    detections = None
    if keypoints is not None:
        rows = iterate_table(keypoints, KEYPOINTS, "make it with `spinloop merge`")
        detections = {row["id"]: row["keypoints"][:N_OPENPOSE] for row in rows}
    count = save_extras(out, iterate_records(annotations), detections)
    say(f"export_official: {count} people")
