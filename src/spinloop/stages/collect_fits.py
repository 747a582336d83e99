"""Join the parts of a split's fits into one store."""

from pathlib import Path

from spinloop.fitting.offline import join_parts, part_files
from spinloop.progress import say

SECTIONS: dict[str, type] = {}


def run(*, part: list[Path], out: Path) -> None:
    """Join parts in the order given; a person in two of them is a mistake.

    Args:
        part: the fits of one part (HDF5), once for each part; or a folder of them, taken by number.
        out: all fits (HDF5).
    """
    joined = join_parts(part_files(part), out)
    say(f"collect_fits: {joined.n_people} people, {joined.n_known} with a fit")
