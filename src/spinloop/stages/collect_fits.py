"""Command `collect_fits`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import Out


def run(
    *,
    part: Annotated[
        list[Path],
        Option(
            help="Fits of one part (HDF5), or a folder of parts, which are sorted by number; may be "
            "given several times."
        ),
    ],
    out: Annotated[Out, Option(help="All fits (HDF5).")],
) -> None:
    """Join the parts of a split's fits into one file.

    Parts are joined in the order given. A person in two of them is an error.
    """
    from spinloop.fitting.offline import join_parts, part_files
    from spinloop.progress import say

    joined = join_parts(part_files(part), out)
    say(f"collect_fits: {joined.n_people} people, {joined.n_known} with a fit")
