"""Command `list_raw`."""

from pathlib import Path
from typing import Annotated

from typer import Option


def run(
    *,
    raw: Annotated[Path, Option(help="Folder of a dataset.")],
    out: Annotated[Path, Option(help="The list (CSV: path, bytes, sha256).")],
    summary: Annotated[Path, Option(help="Number of files and bytes, and the hash of the list (JSON).")],
) -> None:
    """List raw data, every file with its size and hash: the list is kept, the data themselves never leave.

    Read every file once.
    """
    from spinloop.datasets.raw_files import count_files, hash_files, save_entries
    from spinloop.files import write_json
    from spinloop.progress import progress

    entries = progress(hash_files(raw), f"list {raw.name}", count_files(raw))
    write_json(summary, save_entries(out, entries)._asdict())
