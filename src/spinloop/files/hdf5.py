"""HDF5 files that nobody vouches for, and those that are written here.

HDF5 can hold links to other files, arrays that lie in other files, filters that are programs, and arrays
whose shape says more than the file has. Here a key leads to an array of numbers or words that lies in the
file, or to an error that names it.
"""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinloop.errors import UserError
from spinloop.files.gate import may_hold, parsing, reading
from spinloop.files.writing import output

_KIND = "a readable HDF5 array"
# What HDF5 and h5py have built in; others are loaded from folders that the environment names.
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF,
            h5py.h5z.FILTER_SCALEOFFSET, h5py.h5z.FILTER_NBIT, h5py.h5z.FILTER_SZIP}  # fmt: skip
_ROWS = 4096
_MAX_SEARCHED = 1 << 20
_OBJECT = struct.Struct("<H6xQ")
_HEAP = b"GCOL\x01\0\0\0"


class Hdf5:
    """An open file."""

    def __init__(self, path: Path, file: h5py.File, fix: str) -> None:
        self.path, self.fix, self._file = path, fix, file
        self._size, self._read = path.stat().st_size, 0

    @classmethod
    def open(cls, path: Path, fix: str) -> "Hdf5":
        """Open a file; call it inside `files.reading`."""
        _check_heaps(path)
        return cls(path, h5py.File(path, "r", locking=False), fix)

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def fault(self, what: str) -> UserError:
        """The error that says what is wrong with this file, and how to fix it."""
        return UserError(f"{self.path}: {what}; {self.fix}")

    def __contains__(self, key: str) -> bool:
        with parsing(f"{self.path}: {key}", _KIND, self.fix):
            group = self._file
            *parents, name = key.split("/")
            for parent in parents:
                if parent not in group:
                    return False
                group = self._member(group, parent, key)
                if not isinstance(group, h5py.Group):
                    return False
            return group.get(name, getlink=True) is not None

    def dataset(self, key: str) -> h5py.Dataset:
        """An array that lies in this file, checked but not read.

        Raises:
            UserError: it is absent, damaged, a link, lies in another file, or is larger than the file allows.
        """
        if key not in self:
            raise self.fault(f"{key}: missing")
        with parsing(f"{self.path}: {key}", _KIND, self.fix):
            found: Any = self._file
            for name in key.split("/"):
                found = self._member(found, name, key)
            return self.checked(key, found)

    def checked(self, key: str, found: Any) -> h5py.Dataset:
        """The array, if it lies in this file and is not larger than the file allows."""
        if not isinstance(found, h5py.Dataset):
            raise self.fault(f"{key}: expected an array")
        plist = found.id.get_create_plist()
        if plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count():
            raise self.fault(f"{key}: its numbers lie in other files, which are not read")
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if not filters <= _FILTERS:
            raise self.fault(f"{key}: packed by a filter that is not read ({sorted(filters)})")
        size = found.dtype.itemsize
        if found.dtype.kind not in "biufSUO" or found.shape is None or size > self._size:
            raise self.fault(f"{key}: expected numbers or words, found {found.dtype}")
        chunk = math.prod(found.chunks or ()) * size
        if not may_hold(self._size, math.prod(found.shape) * size) or not may_hold(self._size, chunk):
            raise self.fault(f"{key}: {found.shape} entries are far more than the file's size allows")
        return found

    def numbers(self, key: str) -> np.ndarray:
        """All of an array of booleans or real numbers.

        Raises:
            UserError: see `dataset`; or it holds something else.
        """
        dataset = self.dataset(key)
        if dataset.dtype.kind not in "biuf":
            raise self.fault(f"{key}: expected numbers, found {_words_of(dataset.dtype)}")
        with parsing(f"{self.path}: {key}", _KIND, self.fix):
            self._charge(key, math.prod(dataset.shape) * dataset.dtype.itemsize)
            return np.asarray(dataset[()])

    def words(self, key: str) -> list[str]:
        """All of a list of words in UTF-8.

        Raises:
            UserError: see `dataset`; or it is no list of words.
        """
        dataset = self.dataset(key)
        kind = h5py.check_string_dtype(dataset.dtype)
        if kind is None or dataset.ndim != 1:
            found = f"{_words_of(dataset.dtype)} of shape {dataset.shape}"
            raise self.fault(f"{key}: expected a list of words, found {found}")
        words: list[str] = []
        with parsing(f"{self.path}: {key}", "a list of words in UTF-8", self.fix):
            for start in range(0, len(dataset), _ROWS):
                part = dataset[start : start + _ROWS].tolist()
                self._charge(key, sum(map(len, part)))
                words += [word.decode("utf-8") for word in part]
        # Words of a fixed length are filled up.
        return words if kind.length is None else [word.rstrip("\0") for word in words]

    def values(self, key: str) -> np.ndarray:
        """All of an array of numbers, or of a list of words."""
        if h5py.check_string_dtype(self.dataset(key).dtype) is None:
            return self.numbers(key)
        return np.array(self.words(key), dtype=np.str_)

    def has_attribute(self, key: str) -> bool:
        """Whether the file has an attribute."""
        with parsing(f"{self.path}: attribute {key}", "a readable attribute", self.fix):
            return key in self._file.attrs

    def attribute(self, key: str) -> Any:
        """A small attribute of the file, numbers or words.

        Raises:
            UserError: it is absent, damaged, or something else.
        """
        with parsing(f"{self.path}: attribute {key}", "a readable attribute", self.fix):
            if not self.has_attribute(key):
                raise self.fault(f"attribute {key}: missing")
            kind = self._file.attrs.get_id(key)
            if kind.dtype.kind not in "biufSUO" or not may_hold(
                0, math.prod(kind.shape) * kind.dtype.itemsize
            ):
                raise ValueError(f"entries of type {kind.dtype}")
            return self._file.attrs[key]

    def referenced(self, key: str, reference: h5py.Reference) -> h5py.Dataset:
        """The array that a reference (of a MATLAB cell) points to."""
        with parsing(f"{self.path}: {key}", _KIND, self.fix):
            return self.checked(key, self._file[reference])

    def _member(self, group: Any, name: str, key: str) -> Any:
        if not isinstance(group, h5py.Group):
            raise self.fault(f"{key}: missing")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise self.fault(f"{key}: a link to something else, which is not followed")
        return group[name]

    def _charge(self, key: str, count: int) -> None:
        self._read += count
        if not may_hold(self._size, self._read):
            raise self.fault(f"{key}: with the others far more than the file's size allows")


def _check_heaps(path: Path) -> None:
    """Follow the places of words in a file; a faulty length has HDF5 2.0 search for ever.

    Large files are left out: to look through them would take longer than to read what is wanted.
    """
    if path.stat().st_size > _MAX_SEARCHED:
        return
    data = path.read_bytes()
    start = data.find(_HEAP)
    while start >= 0:
        end = start + int.from_bytes(data[start + 8 : start + 16], "little")
        place = start + 16
        while place + 16 <= min(end, len(data)):
            index, length = _OBJECT.unpack_from(data, place)
            if index == 0 and length < 16:  # free, its own header counted
                raise ValueError("a damaged heap")
            place += 16 + (length + 7) // 8 * 8 if index else length
        if end > len(data) or place > end:
            raise ValueError("a damaged heap")
        start = data.find(_HEAP, start + 16)


@contextmanager
def open_hdf5(path: Path, kind: str, fix: str) -> Iterator[Hdf5]:
    """Open a file for reading.

    Args:
        path: the file.
        kind: what it should be.
        fix: what the user should do if it is absent or damaged.

    Raises:
        UserError: there is no such file, it is no HDF5 file, or what the block reads of it is damaged.
    """
    with reading(path, kind, fix):
        file = Hdf5.open(path, fix)
        try:
            yield file
        finally:
            file.close()


@contextmanager
def hdf5_output(path: Path, userblock_size: int = 0) -> Iterator[h5py.File]:
    """Write a file; it stands under `path` when the block ends without an error (see `files.output`).

    Args:
        path: the file.
        userblock_size: bytes in front that HDF5 leaves free.

    Raises:
        OSError: the disk is full.
    """
    with output(path) as stream, h5py.File(stream, "w", userblock_size=userblock_size) as file:
        yield file


def _words_of(dtype: np.dtype) -> str:
    return "words" if h5py.check_string_dtype(dtype) else str(dtype)
