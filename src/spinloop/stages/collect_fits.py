"""Command `collect_fits`."""

from pathlib import Path
from typing import Annotated

from typer import Option


def run(
    *,
    part: Annotated[
        list[Path],
        Option(help="The fits of one part (HDF5), once for each part; or a folder of them, taken by number."),
    ],
    out: Annotated[Path, Option(help="All fits (HDF5).")],
) -> None:
    """Join the parts of a split's fits into one store.

    Join parts in the order given; a person in two of them is a mistake.
    """
    from spinloop.fitting.offline import join_parts, part_files
    from spinloop.progress import say

    joined = join_parts(part_files(part), out)
    say(f"collect_fits: {joined.n_people} people, {joined.n_known} with a fit")
