"""Reading the pickles that datasets and body models are published as, without running anything in them.

`files.pickle_program` calls nothing; what comes out are plain values, and records of what would have been
called. This module makes arrays of the records that describe some, from bytes that fit type and shape, and
refuses other names. SMPL 1.0 was published with arrays of chumpy and scipy, whose records hold the array.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from spinloop.errors import UserError
from spinloop.files.arrays import array_of_bytes
from spinloop.files.gate import reading
from spinloop.files.pickle_program import Blob, Made, Name, PickleFault, UnknownName, run_program

_FIX = "get the file from its publisher again"
_MAX_DEPTH = 50
_VALUE_BYTES = 16
_SLACK_BYTES = 1 << 24
_DTYPE = re.compile(r"(b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[SU]\d{1,7})")
_OBJECT = re.compile(r"O[48]?")


def load_pickle(path: Path, fix: str) -> Any:
    """The containers, numbers, words and numpy arrays of a pickle.

    Args:
        path: the file; Python 2's pickles are read too, their words as latin1.
        fix: what the user should do if the file is absent or damaged.

    Returns:
        Arrays are writable and nobody else's; arrays of objects are lists; sets are tuples.

    Raises:
        UserError: the file is absent, truncated or no pickle, names something that is no array (the name is
            in the message), or holds far more than its size allows.
    """
    return _load(path, fix, ARRAYS)


def load_arrays(path: Path) -> dict[str, Any]:
    """Content of a pickled dictionary, its arrays plain and dense.

    Args:
        path: a pickle of Python 2 or 3, as SMPL and SMPLify are published.

    Returns:
        numpy arrays and whatever else the dictionary holds (words, numbers).

    Raises:
        UserError: see `load_pickle`; an array is none, or the file holds no dictionary.
    """
    content = _load(path, _FIX, ARRAYS | _SMPL)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary of arrays, found {type(content).__name__}; {_FIX}")
    return {str(key): value for key, value in content.items()}


def _load(path: Path, fix: str, makers: Mapping[tuple[str, str], "Maker"]) -> Any:
    with reading(path, "a readable pickle", fix):
        size = path.stat().st_size
        with path.open("rb") as stream:
            try:
                root, _ = run_program(stream, size, lambda module, name: (module, name) in makers)
            except UnknownName as error:
                raise UserError(
                    f"{path}: the pickle asks for {error}, which is no plain array; refused, "
                    "nothing of it was run: get the file from its publisher again"
                ) from None
        values = Values(size, makers)
        if not isinstance(root, dict):
            return values.plain(root)
        content: dict[Any, Any] = {}
        for key, value in root.items():
            try:
                content[key] = values.plain(value)
            except (ValueError, TypeError, IndexError, OverflowError) as error:
                raise UserError(f"{path}: {str(key)[:80]}: not a stored array ({error}); {fix}") from None
        return content


class Values:
    """Makes plain values of the records of one pickle.

    The content is bounded by the file's size: a list may stand in a pickle many times for few bytes.
    """

    def __init__(self, size: int, makers: Mapping[tuple[str, str], "Maker"]) -> None:
        self._left = _SLACK_BYTES + _VALUE_BYTES * size
        self._makers = makers
        self._made: dict[int, tuple[Made, Any]] = {}
        """By the record's address, which is its own as long as the record is kept here too."""

    def charge(self, count: int) -> None:
        """Count bytes that a value takes.

        Raises:
            PickleFault: more than the size of the file allows.
        """
        self._left -= count
        if self._left < 0:
            raise PickleFault("it claims far more content than its size allows")

    def plain(self, value: Any, depth: int = 0) -> Any:
        """The value that a record describes; containers hold plain values again.

        Raises:
            PickleFault: it describes none, or containers are nested too deep.
        """
        self.charge(_VALUE_BYTES)
        if depth > _MAX_DEPTH:
            raise PickleFault(f"containers nested more than {_MAX_DEPTH} deep")
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str | bytes | Blob):
            data = (
                _text(value) if isinstance(value, str) or getattr(value, "is_text", False) else _bytes(value)
            )
            self.charge(len(data))
            return data
        if isinstance(value, list | tuple):
            return type(value)(self.plain(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, Name):
            value = Made(value, ())
        if not isinstance(value, Made):
            raise PickleFault("no plain value")
        if id(value) not in self._made:
            make = self._makers[value.maker.module, value.maker.name]
            self._made[id(value)] = value, make(self, value, depth + 1)
        made = self._made[id(value)][1]
        self.charge(made.nbytes if isinstance(made, np.ndarray) else 0)
        return made

    def array_of(self, data: Any, dtype: np.dtype, shape: tuple[int, ...], is_fortran: bool) -> np.ndarray:
        """An array of bytes whose number fits."""
        if isinstance(data, Made):
            data = self.plain(data)
        is_free = isinstance(data, Blob) and not data.is_taken
        if isinstance(data, Blob):
            raw, data.is_taken = data.data, True
        else:
            raw = np.frombuffer(_bytes(data), np.uint8)
        if not is_free:
            self.charge(raw.size)
            raw = raw.copy()
        return array_of_bytes(raw, dtype, shape, is_fortran)

    def numbers(self, state: Any, key: str, depth: int) -> np.ndarray:
        """The array of numbers under a key of an object's state."""
        value = self.plain(state[key], depth) if isinstance(state, dict) and key in state else None
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise PickleFault(f"no array of numbers under {key!r}")
        return value


Maker = Callable[[Values, Made, int], Any]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value.data.tobytes().decode("latin1")


def _bytes(value: Any) -> bytes:
    if isinstance(value, Blob):
        return value.data.tobytes()
    if isinstance(value, str):  # Python 2 has one type for words and bytes
        return value.encode("latin1")
    if not isinstance(value, bytes):
        raise PickleFault("no bytes where an array's are expected")
    return value


def parts_of(value: Any, *counts: int) -> tuple[Any, ...]:
    """The tuple, if it has one of these lengths."""
    if not isinstance(value, tuple) or len(value) not in counts:
        raise PickleFault("an array with parts missing or too many")
    return value


def shape_of(value: Any) -> tuple[int, ...]:
    """The tuple, if it is a shape."""
    if isinstance(value, tuple) and all(type(side) is int and 0 <= side < 2**40 for side in value):
        return value
    raise PickleFault("a shape that is none")


def _dtype(value: Any, is_plain: bool = False) -> Any:
    """The type of an array's entries; None for objects. Its byte order is all that a state may say."""
    if not isinstance(value, Made) or str(value.maker) != "numpy.dtype" or value.items:
        raise PickleFault("an array without a type")
    code = parts_of(value.arguments, 1, 2, 3)[0]
    order, size = "|", -1
    if value.state is not None:
        state = parts_of(value.state, 8, 9)
        order, size = state[1], state[5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise PickleFault("a type that is changed")
    if isinstance(code, str) and _OBJECT.fullmatch(code) and not is_plain:
        return None
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise PickleFault(f"entries of type {str(code)[:40]!r}")
    dtype = np.dtype(code).newbyteorder("=" if order == "|" else order)
    if size not in (-1, dtype.itemsize):
        raise PickleFault("a type that is changed")
    return dtype


def _encode(values: Values, made: Made, depth: int) -> bytes:
    """Python 3 writes the bytes of Python 2's protocols as text; no other codec is of use here."""
    text, codec = parts_of(made.arguments, 2)
    if not isinstance(text, str) or codec != "latin1":
        raise PickleFault("a word that is no bytes")
    values.charge(len(text))
    return text.encode("latin1")


def _container(values: Values, made: Made, depth: int) -> Any:
    """A set, as a tuple, and the empty bytes that Python 3 writes so by Python 2's protocols."""
    parts = values.plain(parts_of(made.arguments, 0, 1), depth)
    return b"" if made.maker.name == "bytes" and not parts else tuple(*parts)


def _reconstruct(values: Values, made: Made, depth: int) -> Any:
    kind = parts_of(made.arguments, 3)[0]
    if not isinstance(kind, Name) or str(kind) != "numpy.ndarray":
        raise PickleFault(f"an array of class {kind}")
    shape, dtype, is_fortran, data = parts_of(made.state, 4, 5)[-4:]
    shape, dtype = shape_of(shape), _dtype(dtype)
    if dtype is not None:
        return values.array_of(data, dtype, shape, is_fortran is True or is_fortran == 1)
    if len(shape) != 1 or not isinstance(data, list) or len(data) != shape[0]:
        raise PickleFault("an array of objects that is no list")
    return values.plain(data, depth)


def _scalar(values: Values, made: Made, depth: int) -> Any:
    dtype, data = parts_of(made.arguments, 2)
    return values.array_of(data, _dtype(dtype, is_plain=True), (), is_fortran=False)[()]


def _from_buffer(values: Values, made: Made, depth: int) -> np.ndarray:
    """Protocol 5 hands the bytes over as they are."""
    data, dtype, shape, order = parts_of(made.arguments, 4)
    return values.array_of(data, _dtype(dtype, is_plain=True), shape_of(shape), order == "F")


def _refused(values: Values, made: Made, depth: int) -> Any:
    raise PickleFault(f"a call of {made.maker}")


ARRAYS: dict[tuple[str, str], Maker] = {
    ("_codecs", "encode"): _encode,
    **{(module, "bytes"): _container for module in ("__builtin__", "builtins")},
    ("numpy", "ndarray"): _refused,
    ("numpy", "dtype"): _refused,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


def _chumpy_array(values: Values, made: Made, depth: int) -> np.ndarray:
    """`chumpy.ch.Ch`: its value is `x`."""
    return values.numbers(made.state, "x", depth)


def _chumpy_select(values: Values, made: Made, depth: int) -> np.ndarray:
    """`chumpy.reordering.Select`: entries `idxs` of the array `a`, in `preferred_shape`."""
    source, chosen = values.numbers(made.state, "a", depth), values.numbers(made.state, "idxs", depth)
    shape = made.state.get("preferred_shape")
    if chosen.dtype.kind not in "iu" or (chosen.size and not 0 <= chosen.min() <= chosen.max() < source.size):
        raise PickleFault("a selection of entries that the array does not have")
    values.charge(chosen.size * source.itemsize)
    picked = source.ravel()[chosen]
    if shape is None:
        return picked
    if math.prod(shape_of(shape)) != picked.size:
        raise PickleFault(f"{picked.size} entries for shape {shape}")
    return picked.reshape(shape)


def _sparse(values: Values, made: Made, depth: int) -> np.ndarray:
    """A sparse matrix of scipy, dense."""
    form, state = made.maker.name[:3], made.state
    if not isinstance(state, dict):
        raise PickleFault("a sparse matrix without its parts")
    shape = shape_of(state.get("_shape", state.get("shape")))
    if len(shape) != 2:
        raise PickleFault(f"a sparse matrix of shape {shape}")
    data = values.numbers(state, "data", depth)
    values.charge(math.prod(shape) * data.itemsize)
    if form == "coo":
        pair = state.get("coords")
        if pair is not None and (not isinstance(pair, tuple) or len(pair) != 2):
            raise PickleFault("a sparse matrix without its coordinates")
        named = {"row": pair[0], "col": pair[1]} if pair is not None else state
        places = [_whole_numbers(values.numbers(named, key, depth)) for key in ("row", "col")]
        return sparse.coo_matrix((data, (places[0], places[1])), shape=shape).toarray()
    places = [_whole_numbers(values.numbers(state, key, depth)) for key in ("indices", "indptr")]
    kind = sparse.csc_matrix if form == "csc" else sparse.csr_matrix
    matrix = kind((data, places[0], places[1]), shape=shape)
    matrix.check_format(full_check=True)
    return matrix.toarray()


def _whole_numbers(array: np.ndarray) -> np.ndarray:
    """Indices in a type that scipy does not have to convert, one-dimensional and not negative."""
    if (
        array.dtype.kind not in "iu"
        or array.ndim != 1
        or (array.size and not 0 <= array.min() <= array.max() < 2**31)
    ):
        raise PickleFault("indices that are no whole numbers")
    return array.astype(np.int32)


def _reconstructor(values: Values, made: Made, depth: int) -> Any:
    """What Python 2's older protocols call to make an object."""
    kind, base, state = parts_of(made.arguments, 3)
    is_object = isinstance(base, Name) and base.name == "object"
    if not isinstance(kind, Name) or not is_object or state is not None:
        raise PickleFault("an object of a class that is no array")
    return values.plain(Made(kind, (), made.state), depth)


_SMPL: dict[tuple[str, str], Maker] = {
    ("chumpy.ch", "Ch"): _chumpy_array,
    ("chumpy", "Ch"): _chumpy_array,
    ("chumpy.reordering", "Select"): _chumpy_select,
    **{(module, "_reconstructor"): _reconstructor for module in ("copy_reg", "copyreg")},
    **{(module, "object"): _refused for module in ("__builtin__", "builtins")},
    **{(module, "set"): _container for module in ("__builtin__", "builtins")},
    **{
        (f"scipy.sparse.{prefix}{form}", f"{form}_{suffix}"): _sparse
        for form in ("csc", "csr", "coo")
        for prefix in ("", "_")
        for suffix in ("matrix", "array")
    },
}
