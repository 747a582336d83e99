"""Arrays of numpy from bytes of a file that nobody vouches for."""

import math

import numpy as np

_LAST_CODE_POINT = 0x10FFFF


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
    if dtype.kind not in "biufcSU" or not dtype.itemsize:
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
