"""Writing files so that a half-written one never looks finished, and digests of what files hold."""

import errno
import hashlib
import io
import itertools
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO, Any, cast

import psutil

_NUMBERS = itertools.count()
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; move it into place when the block ends without an error.

    Args:
        path: where the finished file (or folder) shall stand; its parent is made if absent.

    Yields:
        The temporary name, in the same folder and with the same suffix; no two processes or threads get the
        same. On an error it is removed (a folder with all it holds) and `path` keeps its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    host = sha256_of(socket.gethostname().encode(), 6)
    temporary = path.with_name(f".{path.stem}.{host}-{os.getpid()}-{next(_NUMBERS)}.partial{path.suffix}")
    _remove_leftovers(path, host)
    try:
        yield temporary
        _sync(temporary)
        if path.is_dir():
            _remove(path)
        temporary.replace(path)
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.errno in _FULL:
            error.filename = str(path)
        raise


class Output(io.RawIOBase):
    """The file that a library writes to. The library never learns that the disk is full.

    Libraries are not made for it: HDF5 prints its stack and may crash, PyTorch and zipfile hide the reason.
    Here a write that fails is remembered and those after it do nothing; `check` raises the error.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any, /) -> int:
        """Write all of the bytes."""
        left = memoryview(data).cast("B")
        count = len(left)
        try:
            while left and self._error is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
        return count

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length; longer files are filled with zeros."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def readinto(self, buffer: Any, /) -> int:
        """Read what was written; zeros where it was not."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        if self._error is not None:
            view[count:] = bytes(len(view) - count)
            return len(view)
        return count

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte is read or written."""
        return self._file.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextmanager
def output(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for a library to write to; it stands under `path` when the block ends (see `atomic`).

    Raises:
        OSError: the disk was full, also if the library took no notice.
    """
    with atomic(path) as temporary, Output(temporary) as stream:
        try:
            yield cast(IO[bytes], stream)
        finally:
            stream.check()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, atomically; the same value gives the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def sha256_of(content: Path | bytes, n_digits: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256 of a file or of bytes; 16 tell contents apart."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()[:n_digits]
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:n_digits]


def sha256_of_files(paths: Iterable[Path]) -> str:
    """One digest of 16 digits for the contents of several files, in their order."""
    return sha256_of(" ".join(sha256_of(path) for path in paths).encode())


def _remove_leftovers(path: Path, host: str) -> None:
    """Remove what processes of this machine that were killed left of the same output."""
    for left in path.parent.glob(f".{escape(path.stem)}.{host}-*.partial{escape(path.suffix)}"):
        number = left.name.removeprefix(f".{path.stem}.{host}-").partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush a finished file to the disk, so that a power cut cannot leave an empty one in its place."""
    if path.is_file():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
