"""Reading the pickles that datasets and body models are published as, without running anything in them.

A pickle is a program: it names functions and has them called. `load_pickle` knows the names that rebuild
containers, numbers, text and numpy arrays, and refuses every other name before anything is called.
`load_arrays` reads SMPL's files too. SMPL 1.0 was published as Python 2 pickles with arrays of chumpy and
scipy; classes of this module stand in for theirs, keep the stored state and return the array in it.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import sparse

from spinloop.errors import UserError
from spinloop.files import reading

Name = tuple[str, str]


class Sealed:
    """A function that a pickle may call but cannot change: pickles can set attributes of what they name."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"it sets {name!r} on a function")

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")

    def __call__(self, *arguments: object) -> Any:
        """What the pickle's REDUCE does."""
        return self._call(*arguments)


def _encode(text: object, encoding: object) -> bytes:
    """Python 3 writes the bytes of Python 2's protocol as text; no other codec is of use here."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    """The empty array whose shape, type and bytes follow in the pickle."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"an array of class {kind!r}")
    return np.ndarray.__new__(np.ndarray, (0,), np.uint8)


def _scalar(dtype: object, value: bytes) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError(f"a number of type {dtype!r}")
    return np.frombuffer(value, dtype=dtype, count=1)[0]


def _from_buffer(data: Any, dtype: object, shape: Any, order: Any) -> np.ndarray:
    """Protocol 5 hands the bytes over as they are."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError(f"an array of type {dtype!r}")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


_ARRAYS: dict[Name, Callable[..., Any]] = {
    ("_codecs", "encode"): Sealed(_encode),
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Sealed(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Sealed(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Sealed(_from_buffer) for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], path: Path, known: Mapping[Name, Any]) -> None:
        super().__init__(stream, encoding="latin1")
        self._path, self._known = path, known

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in self._known:
            raise UserError(
                f"{self._path}: the pickle asks for {module}.{name}, which is no plain array; refused, "
                "nothing of it was run: get the file from its publisher again"
            )
        return self._known[module, name]


def load_pickle(path: Path, fix: str, classes: Mapping[Name, Any] | None = None) -> Any:
    """Rebuild the containers, numbers, words and numpy arrays of a pickle.

    Args:
        path: the file; Python 2's pickles are read too, their words as latin1.
        fix: what the user should do if the file is absent or damaged.
        classes: (module, name) of further things that the pickle may name → what takes their place. It is
            called with what the pickle says, so it must check its arguments (wrap functions in `Sealed`).

    Raises:
        UserError: the file is absent, truncated or no pickle, or it names something that is not known here
            (the name is in the message).
    """
    known = {**_ARRAYS, **(classes or {})}
    with reading(path, "a readable pickle", fix), path.open("rb") as stream:
        return _ArraysOnly(stream, path, known).load()


_FIX = "get the file from its publisher again"


class _Stored:
    """Holds what a pickle says about an object; does nothing with it."""

    __slots__ = ("state",)
    state: Mapping[str, Any]

    def __new__(cls) -> "_Stored":
        stored = super().__new__(cls)
        stored.state = {}
        return stored

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise TypeError("the state of an array is not a dictionary")
        self.state = state

    def array(self) -> np.ndarray:
        """The value.

        Raises:
            ValueError: the state does not hold one.
        """
        raise NotImplementedError

    def _part(self, key: str) -> np.ndarray:
        value = self.state.get(key)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise ValueError(f"no array of numbers under {key!r}")
        return value


class _ChumpyArray(_Stored):
    """`chumpy.ch.Ch`: its value is `x`."""

    __slots__ = ()

    def array(self) -> np.ndarray:
        return self._part("x")


class _ChumpySelect(_Stored):
    """`chumpy.reordering.Select`: entries `idxs` of the array `a`, in `preferred_shape`."""

    __slots__ = ()

    def array(self) -> np.ndarray:
        source, shape = self.state.get("a"), self.state.get("preferred_shape")
        if isinstance(source, _ChumpyArray):
            source = source.array()
        if not isinstance(source, np.ndarray):
            raise ValueError("a selection from something that is not an array")
        chosen = source.ravel()[self._part("idxs")]
        return chosen if shape is None else chosen.reshape(shape)


class _Compressed(_Stored):
    """A compressed sparse matrix of scipy."""

    __slots__ = ()
    kind: type = sparse.csc_matrix

    def array(self) -> np.ndarray:
        shape = self.state.get("_shape", self.state.get("shape"))
        parts = tuple(self._part(key) for key in ("data", "indices", "indptr"))
        matrix = self.kind(parts, shape=shape)
        matrix.check_format(full_check=True)
        return matrix.toarray()


class _CompressedRows(_Compressed):
    __slots__ = ()
    kind = sparse.csr_matrix


class _Coordinates(_Stored):
    """A sparse matrix of scipy as a list of entries."""

    __slots__ = ()

    def array(self) -> np.ndarray:
        shape = self.state.get("_shape", self.state.get("shape"))
        coordinates = self.state.get("coords") or (self._part("row"), self._part("col"))
        return sparse.coo_matrix((self._part("data"), coordinates), shape=shape).toarray()


def _make_stored(kind: object, base: object, state: object) -> _Stored:
    """What Python 2's older protocols call to make an object."""
    if not (isinstance(kind, type) and issubclass(kind, _Stored)) or base is not object or state is not None:
        raise TypeError("it makes an object of a class that is no array")
    return kind()


def _collect(items: Iterable[object] = ()) -> tuple[object, ...]:
    """Chumpy's bookkeeping holds sets; their content is of no use."""
    return tuple(items)


_SPARSE = {"csc": _Compressed, "csr": _CompressedRows, "coo": _Coordinates}
_CLASSES: dict[Name, Any] = {
    ("chumpy.ch", "Ch"): _ChumpyArray,
    ("chumpy", "Ch"): _ChumpyArray,
    ("chumpy.reordering", "Select"): _ChumpySelect,
    **{(module, "_reconstructor"): Sealed(_make_stored) for module in ("copy_reg", "copyreg")},
    **{(module, "object"): object for module in ("__builtin__", "builtins")},
    **{(module, "set"): Sealed(_collect) for module in ("__builtin__", "builtins")},
    **{
        (f"scipy.sparse.{prefix}{form}", f"{form}_{suffix}"): stand_in
        for form, stand_in in _SPARSE.items()
        for prefix in ("", "_")
        for suffix in ("matrix", "array")
    },
}


def load_arrays(path: Path) -> dict[str, Any]:
    """Content of a pickled dictionary, its arrays plain and dense.

    Args:
        path: a pickle of Python 2 or 3, as SMPL and SMPLify are published.

    Returns:
        numpy arrays and whatever else the dictionary holds (words, numbers).

    Raises:
        UserError: the file is absent, truncated, names a class that is no array (the class is in the
            message), holds an array that is none, or is no dictionary.
    """
    content = load_pickle(path, _FIX, _CLASSES)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary of arrays, found {type(content).__name__}; {_FIX}")
    return {str(key): _plain(path, str(key), value) for key, value in content.items()}


def _plain(path: Path, key: str, value: object) -> Any:
    if not isinstance(value, _Stored):
        return value
    try:
        return value.array()
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: {key}: not a stored array ({error}); {_FIX}") from None
