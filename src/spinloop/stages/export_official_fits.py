"""Command `export_official_fits`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN, AnnotationsTable, Out


def run(
    *,
    fits: Annotated[Path, MAIN, Option(help="Fits (HDF5), of `collect_fits` or `train`.")],
    annotations: AnnotationsTable,
    out: Annotated[
        Out,
        Option(
            help="`*.npy` as in static_fits (one array, people × 82), or `*.npz` as in spin_fits "
            "(`pose`, `betas`, `valid_fit`)."
        ),
    ],
) -> None:
    """Write fits as a file of SPIN's fits (static_fits or spin_fits).

    Rows are in the order of the annotations, as in `export_official`.
    """
    from spinloop.fitting.results import save_official_fits
    from spinloop.progress import say
    from spinloop.tables.fits import FitStore
    from spinloop.tables.records import iterate_records

    if out.suffix not in (".npy", ".npz"):
        raise UserError(f"--out {out}: expected *.npy (static fits) or *.npz (final fits); rename it")
    ids = [record.id for record in iterate_records(annotations)]
    count = save_official_fits(out, FitStore.open(fits), ids)
    say(f"export_official_fits: {len(ids)} people, {count} with a fit")
