"""Reading and writing files so that a half-written one never looks finished."""

import hashlib
import json
import os
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spinloop.errors import UserError, reason_of

# What reading raises where bytes are missing or wrong. Neither numpy nor PyTorch promises a list.
_NUMPY_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, MemoryError,
    tokenize.TokenError, struct.error,
)  # fmt: skip
_TORCH_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, RuntimeError, struct.error,
    AttributeError, ImportError, IndexError, KeyError, TypeError,
)  # fmt: skip


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; move it into place when the block ends without an error.

    Args:
        path: where the finished file (or folder) shall stand; its parent is made if absent.

    Yields:
        The temporary name, in the same folder and with the same suffix. On an error it is removed
        (a folder with all it holds) and `path` keeps its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        _sync(temporary)
        if path.is_dir():
            _remove(path)
        temporary.replace(path)
    except BaseException:
        _remove(temporary)
        raise


def require_file(path: Path, cure: str) -> Path:
    """Return `path` if it is a file.

    Args:
        path: the file that is needed.
        cure: what the user should do about it, e.g. "run `spinloop prepare_body` first".

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; {cure}")
    return path


def sha256_of(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256: enough to tell contents apart."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


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


def read_npz(path: Path, cure: str, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file; nothing in it is unpickled.

    Args:
        path: the file.
        cure: what the user should do if it is absent or damaged.
        keys: read only those of these that the file has; None reads all.

    Raises:
        UserError: the file is absent, truncated or no npz, or an array to be read is a pickled object.
    """
    require_file(path, cure)
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{path}: a single array, not an npz archive; {cure}")
        with archive:
            return {key: archive[key] for key in archive.files if keys is None or key in keys}
    except _NUMPY_DAMAGE as error:
        raise UserError(f"{path}: not a readable npz ({reason_of(error)}); {cure}") from None


def read_npy(path: Path, cure: str) -> np.ndarray:
    """The array of an npy file; nothing in it is unpickled.

    Args:
        path: the file.
        cure: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, truncated, an archive of several arrays, or holds pickled objects.
    """
    require_file(path, cure)
    try:
        array = np.load(path, allow_pickle=False)
    except _NUMPY_DAMAGE as error:
        raise UserError(f"{path}: not a readable npy ({reason_of(error)}); {cure}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise UserError(f"{path}: an archive of several arrays, not a single one; {cure}")
    return array


def read_weights(path: Path, cure: str) -> Any:
    """Tensors and plain values of a file of PyTorch's, on the CPU; nothing in it is run.

    Args:
        path: the file.
        cure: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, empty, damaged, no file of PyTorch's, or holds more than that.
    """
    # Most who read files here need no PyTorch, which takes seconds to load.
    import torch

    require_file(path, cure)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        if error.errno is not None:
            raise  # of the disk or the rights, not of what is in the file
        raise UserError(f"{path}: not readable as plain weights ({reason_of(error)}); {cure}") from None
    except _TORCH_DAMAGE:
        # PyTorch's own words would have the user run what is in the file.
        reason = "damaged, or more in it than tensors" if path.stat().st_size else "the file is empty"
        raise UserError(f"{path}: not readable as plain weights ({reason}); {cure}") from None


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
