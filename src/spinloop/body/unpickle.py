"""Values of SMPL's pickles without chumpy, without scipy's classes, and without running anything.

SMPL 1.0 was published as Python 2 pickles whose arrays are chumpy objects: a value with bookkeeping for
derivatives. Only the value is wanted. Stand-ins take the place of the few classes that such files hold; they
keep the state that the pickle gives them and check it when asked for the array. Every other class is refused
by name.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from spinloop.errors import UserError
from spinloop.safe_pickle import Name, Sealed, load_pickle

_CURE = "get the file from its publisher again"


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


def _reconstruct(kind: object, base: object, state: object) -> _Stored:
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
    **{(module, "_reconstructor"): Sealed(_reconstruct) for module in ("copy_reg", "copyreg")},
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
    content = load_pickle(path, _CURE, _CLASSES)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary of arrays, found {type(content).__name__}; {_CURE}")
    return {str(key): _plain(path, str(key), value) for key, value in content.items()}


def _plain(path: Path, key: str, value: object) -> Any:
    if not isinstance(value, _Stored):
        return value
    try:
        return value.array()
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: {key}: not a stored array ({error}); {_CURE}") from None
