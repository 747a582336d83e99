"""Lists of raw data: every file with its size and hash, so that others can tell whether they have the same.

Lists and folders are walked in one order, file by file; no more is held than the names of one folder.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from spinloop.errors import UserError
from spinloop.files import atomic, require_file, sha256_of


class Entry(NamedTuple):
    """A file of a dataset."""

    path: str
    """Below the dataset's folder, with `/` between its parts."""
    bytes: int
    sha256: str
    """64 digits, as `sha256sum` gives it."""


class Summary(NamedTuple):
    """What all files of a dataset come to."""

    files: int
    bytes: int
    sha256: str
    """Of the list; 16 digits."""


class Difference(NamedTuple):
    """A file that is not as it was listed."""

    path: str
    fault: str
    """missing, changed or not listed."""


def walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, ordered by the parts of their names, without hidden ones.

    The folder itself may be a link, and files may be.

    Raises:
        UserError: a folder below it is a link (DVC sees no change behind it), or a link is broken.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_symlink():
            unseen = "a link to a folder, behind which changes are not noticed"
            raise UserError(
                f"{path}: {unseen if path.is_dir() else 'a broken link'}; put the files there, make {folder} "
                "a link to a folder that holds them, or take the dataset out of `raw` in params.yaml"
            )
        elif path.is_dir():  # what is neither holds no data: a socket, a pipe
            yield from walk(path)


def count_files(folder: Path) -> int:
    """How many files `walk` gives.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a dataset")
    return sum(1 for _ in walk(folder))


def hash_files(folder: Path) -> Iterator[Entry]:
    """Read every file below a folder, in the order of `walk`."""
    for path in walk(folder):
        yield Entry(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path, n_digits=64))


def save_entries(path: Path, entries: Iterable[Entry]) -> Summary:
    """Write a list (CSV) and sum it up."""
    n_files, n_bytes = 0, 0
    with atomic(path) as temporary:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(Entry._fields)
            for entry in entries:
                n_files, n_bytes = n_files + 1, n_bytes + entry.bytes
                writer.writerow(entry)
        return Summary(n_files, n_bytes, sha256_of(temporary))


def load_entries(path: Path) -> Iterator[Entry]:
    """The entries of a list.

    Raises:
        UserError: the file is absent or is no such list.
    """
    fix = "give the list that `spinloop list_raw` wrote"
    with require_file(path, fix).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        rows = csv.reader(stream)
        if next(rows, None) != list(Entry._fields):
            raise UserError(f"{path}: line 1: not {','.join(Entry._fields)}; {fix}")
        for row in rows:
            if len(row) != len(Entry._fields) or not row[1].isdecimal():
                raise UserError(f"{path}: line {rows.line_num}: not path, size and hash; {fix}")
            yield Entry(row[0], int(row[1]), row[2])


def compare(listed: Iterable[Entry], found: Iterable[Entry]) -> Iterator[Difference]:
    """Differences between a list and what lies in a folder, both in the order of `walk`."""
    ours, theirs = iter(listed), iter(found)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _parts(one) < _parts(other)):
            assert one is not None
            yield Difference(one.path, "missing")
            one = next(ours, None)
        elif one is None or _parts(other) < _parts(one):
            yield Difference(other.path, "not listed")
            other = next(theirs, None)
        else:
            if one != other:
                yield Difference(one.path, "changed")
            one, other = next(ours, None), next(theirs, None)


def _parts(entry: Entry) -> list[str]:
    return entry.path.split("/")
