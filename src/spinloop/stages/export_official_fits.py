"""Write a store of fits as one of SPIN's files of fits."""

from pathlib import Path

from spinloop.errors import UserError
from spinloop.fitting.spin_fits import save_official_fits
from spinloop.progress import say
from spinloop.tables.fits import FitStore
from spinloop.tables.records import iterate_records

SECTIONS: dict[str, type] = {}


def run(*, fits: Path, annotations: Path, out: Path) -> None:
    """Write poses and shapes by row, in the order of the annotations (and of `spinloop export_official`).

    Args:
        fits: the store (HDF5).
        annotations: table of annotated people of the same split (Parquet).
        out: `*.npy` as of static_fits (one array, people × 82), or `*.npz` as of spin_fits (pose, betas,
            valid_fit).
    """
    if out.suffix not in (".npy", ".npz"):
        raise UserError(f"--out {out}: expected *.npy (static fits) or *.npz (final fits); rename it")
    ids = [record.id for record in iterate_records(annotations)]
    count = save_official_fits(out, FitStore.open(fits), ids)
    say(f"export_official_fits: {len(ids)} people, {count} with a fit")
