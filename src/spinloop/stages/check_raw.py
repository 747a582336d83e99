"""Command `check_raw`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN

_MAX_MESSAGES = 10


def run(
    *,
    raw: Annotated[Path, MAIN, Option(help="Folder of the dataset.")],
    manifest: Annotated[Path, Option(help="List of the files (CSV), of `list_raw`.")],
) -> None:
    """Compare raw data with a list of their files.

    Files that are missing, changed or not listed are an error.
    """
    from spinloop.datasets.raw_files import compare, count_files, hash_files, load_entries
    from spinloop.progress import progress, say

    n_files = count_files(raw)
    found = progress(hash_files(raw), f"check {raw.name}", n_files)
    counts: Counter[str] = Counter()
    for difference in compare(load_entries(manifest), found):
        counts[difference.fault] += 1
        if counts[difference.fault] <= _MAX_MESSAGES:
            say(f"{difference.fault}: {difference.path}")
    if counts:
        differences = ", ".join(f"{counts[fault]} {fault}" for fault in sorted(counts))
        raise UserError(
            f"{raw}: files differ from {manifest}: {differences}; get the dataset in the listed version"
        )
    say(f"{raw}: {n_files} files, all as listed")
