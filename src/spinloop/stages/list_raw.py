"""List raw data, every file with its size and hash: the list is kept, the data themselves never leave."""

from pathlib import Path

from spinloop.datasets.raw_files import count_files, hash_files, save_entries
from spinloop.files import write_json
from spinloop.progress import progress

SECTIONS: dict[str, type] = {}


def run(*, raw: Path, out: Path, summary: Path) -> None:
    """Read every file once.

    Args:
        raw: folder of a dataset.
        out: the list (CSV: path, bytes, sha256).
        summary: number of files and bytes, and the hash of the list (JSON).
    """
    entries = progress(hash_files(raw), f"list {raw.name}", count_files(raw))
    write_json(summary, save_entries(out, entries)._asdict())
