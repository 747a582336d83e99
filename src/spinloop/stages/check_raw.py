"""Compare raw data with a list of them, say of the machine on which a number was made."""

from collections import Counter
from pathlib import Path

from spinloop.datasets.raw_files import compare, count_files, hash_files, load_entries
from spinloop.errors import UserError
from spinloop.progress import progress, say

SECTIONS: dict[str, type] = {}
_SHOWN_OF_EACH = 10


def run(*, raw: Path, manifest: Path) -> None:
    """Say which files are missing, changed or not listed; any of them is an error.

    Args:
        raw: folder of the dataset here.
        manifest: the list that `list_raw` wrote there.
    """
    n_files = count_files(raw)
    found = progress(hash_files(raw), f"check {raw.name}", n_files)
    counts: Counter[str] = Counter()
    for difference in compare(load_entries(manifest), found):
        counts[difference.fault] += 1
        if counts[difference.fault] <= _SHOWN_OF_EACH:
            say(f"{difference.fault}: {difference.path}")
    if counts:
        told = ", ".join(f"{counts[fault]} {fault}" for fault in sorted(counts))
        raise UserError(f"{raw}: files unlike {manifest}: {told}; get the dataset in the listed version")
    say(f"{raw}: {n_files} files, all as listed")
