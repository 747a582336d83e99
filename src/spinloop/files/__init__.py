"""Reading and writing files so that a half-written one never looks finished."""

import errno
import hashlib
import itertools
import json
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from spinloop.errors import DAMAGE, UserError, reason_of

# Of the disk or the user's rights, not of what is in the file: to remake the file would not help.
_DISK_ERRORS = {errno.EACCES, errno.EIO, errno.ENOTCONN, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT}
_CHUNK_BYTES = 1 << 20
_NUMBERS = itertools.count()


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
    except BaseException:
        _remove(temporary)
        raise


def require_file(path: Path, fix: str) -> Path:
    """Return `path` if it is a file.

    Args:
        path: the file that is needed.
        fix: what the user should do, e.g. "run `spinloop prepare_body` first".

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; {fix}")
    return path


@contextmanager
def reading(path: Path, kind: str, fix: str) -> Iterator[None]:
    """Report that a file is absent or damaged as one line; the block parses the file and does nothing else.

    Args:
        path: the file.
        kind: what it should be: "a file of predictions", "a readable npz".
        fix: what the user should do.

    Raises:
        UserError: there is no such file, or the block raises one of `errors.DAMAGE`. Errors of the disk
            keep their own type.
    """
    require_file(path, fix)
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        raise UserError(f"{path}: not {kind} ({reason_of(error)}); {fix}") from None


def sha256_of(content: Path | bytes, n_digits: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256 of a file or of bytes; 16 tell contents apart."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()[:n_digits]
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:n_digits]


def sha256_of_files(paths: Iterable[Path]) -> str:
    """One digest of 16 digits for the contents of several files, in their order."""
    return sha256_of(" ".join(sha256_of(path) for path in paths).encode())


def read_json(path: Path, keep: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Parse a JSON file.

    Args:
        path: the file.
        keep: given each object as it is parsed, returns what stands for it; lets a large file be read
            without the parts that are not needed.

    Raises:
        UserError: the file is absent, or is not JSON; the line and column of the fault are named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_hook=keep)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); restore or remake the file") from None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, atomically; the same value gives the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_npz(path: Path, fix: str, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file; nothing in it is unpickled.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.
        keys: read only those of these that the file has; None reads all.

    Raises:
        UserError: the file is absent, truncated or no npz, or an array to be read is a pickled object.
    """
    with reading(path, "a readable npz", fix):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{path}: a single array, not an npz archive; {fix}")
        with archive:
            return {key: archive[key] for key in archive.files if keys is None or key in keys}


def read_npy(path: Path, fix: str) -> np.ndarray:
    """The array of an npy file; nothing in it is unpickled.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, truncated, an archive of several arrays, or holds pickled objects.
    """
    with reading(path, "a readable npy", fix):
        array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise UserError(f"{path}: an archive of several arrays, not a single one; {fix}")
    return array


def read_weights(path: Path, fix: str) -> Any:
    """Tensors and plain values of a file of PyTorch's, on the CPU; nothing in it is run.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, empty, damaged, no file of PyTorch's, or holds more than that.
    """
    # Most who read files here need no PyTorch, which takes seconds to load.
    import torch

    with reading(path, "readable as plain weights", fix):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except DAMAGE:
            # PyTorch's own message would have the user run what is in the file.
            reason = "more in it than tensors, or damaged" if path.stat().st_size else "the file is empty"
            raise ValueError(reason) from None


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
