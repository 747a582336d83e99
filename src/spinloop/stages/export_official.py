"""Command `export_official`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import AnnotationsTable


def run(
    *,
    annotations: AnnotationsTable,
    out: Annotated[Path, Option(help="The file (npz).")],
    keypoints: Annotated[
        Path | None,
        Option(help="Table of merged keypoints (Parquet), for `openpose`; without it there is none."),
    ] = None,
) -> None:
    """Write our tables as one of SPIN's annotation files (dataset_extras).

    Write the arrays that SPIN's code reads; besides these `id`, which it does not look at.

    Always there are `imgname`, `center` and `scale`; of `part`, `openpose`, `S`, `pose`, `shape`, `gender`,
    `maskname` and `partname` what anybody has.
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
