"""Arrays of numpy's own files, npy and npz, and from other bytes of a file that nobody vouches for."""

import math
import re
import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np

from spinloop.errors import UserError
from spinloop.files.archives import Archive, is_archive
from spinloop.files.gate import parsing, reading

_LAST_CODE_POINT = 0x10FFFF
_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*(?:['"]([<>|=]?)([biufcSU])(\d{1,9})['"]|(.{1,60}))""", re.DOTALL)
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([^()]*)\)""")
_SIDES = re.compile(r"\s*(?:\d{1,15}L?\s*,\s*)*(?:\d{1,15}L?\s*)?")


def read_npz(path: Path, fix: str, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file; nothing in it is unpickled.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.
        keys: read only those of these that the file has; None reads all.

    Returns:
        Arrays of booleans, numbers, bytes or words, in the machine's byte order.

    Raises:
        UserError: the file is absent, truncated or no npz, claims far more than its size allows, or an array
            to be read is none: pickled objects, fields, another member.
    """
    with reading(path, "a readable npz", fix), path.open("rb") as stream:
        if stream.read(len(_MAGIC)) == _MAGIC:
            raise UserError(f"{path}: a single array, not an npz archive; {fix}")
        archive, arrays = Archive(stream, path.stat().st_size), {}
        for name in archive.names:
            key = name.removesuffix(".npy")
            if keys is not None and key not in keys:
                continue
            if key in arrays or key == name:
                raise UserError(f"{path}: {key}: {'twice in it' if key in arrays else 'no array'}; {fix}")
            with parsing(f"{path}: {key}", "an array", fix):
                arrays[key] = _array_of_npy(archive.read(name))
        return arrays


def npz_names(path: Path, fix: str) -> list[str]:
    """Names of the arrays of an npz file; none is read.

    Raises:
        UserError: the file is absent or no npz.
    """
    with reading(path, "a readable npz", fix), path.open("rb") as stream:
        return [name.removesuffix(".npy") for name in Archive(stream, path.stat().st_size).names]


def read_npy(path: Path, fix: str) -> np.ndarray:
    """The array of an npy file; nothing in it is unpickled.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.

    Raises:
        UserError: the file is absent, truncated, an archive of several arrays, or holds pickled objects.
    """
    with reading(path, "a readable npy", fix):
        if is_archive(path):
            raise UserError(f"{path}: an archive of several arrays, not a single one; {fix}")
        return _array_of_npy(np.fromfile(path, np.uint8))


def _array_of_npy(raw: np.ndarray) -> np.ndarray:
    """The array that the bytes of an npy file describe, on the same memory."""
    start = raw[:12].tobytes()
    if len(start) < 10 or start[:6] != _MAGIC or start[6] not in (1, 2, 3):
        raise ValueError("it does not begin as an npy file does")
    form = "<H" if start[6] == 1 else "<I"
    begin = 8 + struct.calcsize(form)
    (length,) = struct.unpack(form, start[8:begin])
    if length > _MAX_HEADER or begin + length > raw.size:
        raise ValueError("its header is cut or too long")
    dtype, shape, is_fortran = _header(raw[begin : begin + length].tobytes().decode("utf-8"))
    data = raw[begin + length :]
    # Numpy's headers end at a multiple of 64 bytes, those of others need not.
    if data.ctypes.data % min(max(dtype.alignment, 1), 16):
        data = data.copy()
    return array_of_bytes(data, dtype, shape, is_fortran)


def _header(text: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Type, shape and order. The header is a Python expression; it is not evaluated."""
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if descr is None or order is None or shape is None or not _SIDES.fullmatch(shape[1]):
        raise ValueError("its header has no type, order or shape")
    if descr[2] is None:
        what = "pickled objects, which are not read" if "O" in descr[4][:5] else f"entries of {descr[4][:30]}"
        raise ValueError(what)
    dtype = np.dtype(f"{descr[1]}{descr[2]}{int(descr[3])}")
    return dtype, tuple(int(side) for side in re.findall(r"\d+", shape[1])), order[1] == "True"


def array_of_bytes(raw: np.ndarray, dtype: np.dtype, shape: tuple[int, ...], is_fortran: bool) -> np.ndarray:
    """An array on given bytes, after checks without which numpy would read or make what is not there.

    Args:
        raw: uint8; the array lies on the same memory.
        dtype: booleans, numbers, bytes or words of fixed length.
        shape: whole numbers from 0 up.
        is_fortran: whether the first axis is the quickest.

    Returns:
        The array in the machine's byte order.

    Raises:
        ValueError: the number of bytes does not fit, or an entry is no value of its type.
    """
    if dtype.kind not in "biufcSU" or not dtype.itemsize or len(shape) > 32:
        raise ValueError(f"entries of type {dtype}")
    if raw.size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{raw.size} bytes for {dtype} of shape {shape}")
    if not raw.size:
        return np.empty(shape, dtype.newbyteorder("="))
    if dtype.kind == "b" and raw.max() > 1:
        raise ValueError("booleans other than 0 and 1")
    if dtype.kind == "U":
        codes = raw.view(np.dtype("u4").newbyteorder("=" if dtype.isnative else dtype.byteorder))
        if codes.max() > _LAST_CODE_POINT:
            raise ValueError("words with letters that no alphabet has")
    array = raw.view(dtype).reshape(shape, order="F" if is_fortran else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
