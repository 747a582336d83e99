"""Join the parts of a split's fits into one store."""

from pathlib import Path

from spinloop.fitting.store import FitStore
from spinloop.stages._progress import say

SECTIONS: dict[str, type] = {}


def run(*, part: list[Path], out: Path) -> None:
    """Join parts in the order given; a person in two of them is a mistake.

    Args:
        part: the fits of one part (HDF5), once for each part; or a folder of them, taken by name.
        out: all fits (HDF5).
    """
    paths = [path for one in part for path in (sorted(one.glob("*.h5")) if one.is_dir() else [one])]
    fits = FitStore.join([FitStore.open(path) for path in paths])
    fits.save(out)
    say(f"collect_fits: {len(fits.ids)} people, {int(fits.is_known.sum())} with a fit")
