"""Command `list_raw`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import Out


def run(
    *,
    raw: Annotated[Path, Option(help="Folder of the dataset.")],
    out: Annotated[Out, Option(help="List of the files (CSV: path, bytes, sha256).")],
    summary: Annotated[Out, Option(help="Number of files and bytes, and the hash of the list (JSON).")],
) -> None:
    """List the files of a dataset with their sizes and hashes.

    The list is kept; the data stay where they are.
    """
    from spinloop.datasets.raw_files import count_files, hash_files, save_entries
    from spinloop.files import write_json
    from spinloop.progress import progress

    entries = progress(hash_files(raw), f"list {raw.name}", count_files(raw))
    write_json(summary, save_entries(out, entries)._asdict())
