"""List raw data, every file with its size and hash: the list is kept, the data themselves never leave."""

from itertools import chain
from pathlib import Path

from spinloop.files import write_json
from spinloop.manifest import count_files, hash_files, save_entries
from spinloop.params.loader import load_section
from spinloop.params.runtime import RuntimeParams
from spinloop.stages._progress import rate

SECTIONS = {"runtime": RuntimeParams}


def run(*, raw: Path, out: Path, summary: Path, params: Path = Path("params.yaml")) -> None:
    """Read every file once.

    Args:
        raw: folder of a dataset.
        out: the list (CSV: path, bytes, sha256).
        summary: number of files and bytes, and the hash of the list (JSON).
        params: parameter file; as many files are read at once as `runtime.threads` says.
    """
    threads = load_section(params, "runtime", RuntimeParams).threads
    batches = rate(hash_files(raw, threads), f"list {raw.name}", count_files(raw), "files")
    write_json(summary, save_entries(out, chain.from_iterable(batches))._asdict())
