"""Pickles as Python 2 wrote them, which is what 3DPW's files are.

Two things set them apart from what Python 3 writes under protocol 2: text and the bytes of arrays are plain
byte strings (Python 2's `str`), which a reader must decode as latin-1, and NumPy's functions stand under the
names that they had then.
"""

import pickle
import struct
from collections.abc import Mapping, Sequence

import numpy as np

Pickled = np.ndarray | str | bytes | int | Sequence["Pickled"] | Mapping[str, "Pickled"]

_TUPLE_OF_ZERO = pickle.BININT1 + b"\0" + pickle.TUPLE1


def dumps_python2(value: Pickled) -> bytes:
    """Pickle (protocol 2) of arrays of numbers, ASCII text, whole numbers, lists and dictionaries of them.

    Raises:
        TypeError: the value holds something else.
    """
    return pickle.PROTO + b"\x02" + _emit(value) + pickle.STOP


def _emit(value: Pickled) -> bytes:
    if isinstance(value, np.ndarray):
        return _emit_array(value)
    if isinstance(value, str):
        return _emit_string(value.encode("ascii"))
    if isinstance(value, bytes):
        return _emit_string(value)
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, Mapping):
        items = b"".join(_emit(key) + _emit(item) for key, item in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    if isinstance(value, Sequence):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_emit, value)) + pickle.APPENDS
    raise TypeError(f"cannot pickle {type(value).__name__}")


def _emit_string(data: bytes) -> bytes:
    return pickle.BINSTRING + struct.pack("<i", len(data)) + data


def _emit_array(array: np.ndarray) -> bytes:
    """What `ndarray.__reduce__` and `__setstate__` agree on: an empty array, then its contents."""
    empty = _global("numpy.core.multiarray", "_reconstruct") + _global("numpy", "ndarray")
    empty += _TUPLE_OF_ZERO + _emit_string(b"b") + pickle.TUPLE3 + pickle.REDUCE
    shape = pickle.MARK + b"".join(map(_emit, array.shape)) + pickle.TUPLE
    content = _emit(1) + shape + _emit_dtype(array.dtype) + pickle.NEWFALSE + _emit_string(array.tobytes())
    return empty + pickle.MARK + content + pickle.TUPLE + pickle.BUILD


def _emit_dtype(dtype: np.dtype) -> bytes:
    kind = _emit_string(dtype.str[1:].encode("ascii")) + _emit(0) + _emit(1)
    order = _emit_string(dtype.str[:1].encode("ascii"))
    nothing, unset = pickle.NONE * 3, _emit(-1) * 2
    state = pickle.MARK + _emit(3) + order + nothing + unset + _emit(0) + pickle.TUPLE
    return _global("numpy", "dtype") + kind + pickle.TUPLE3 + pickle.REDUCE + state + pickle.BUILD


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii")
