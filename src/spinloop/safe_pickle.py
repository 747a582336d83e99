"""Reading the pickles that datasets and body models are published as, without running anything in them.

A pickle is a program: it names functions and has them called. This reader knows the few names that rebuild
plain numpy arrays, takes more from its caller by name, and refuses every other before it is called.
"""

import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from spinloop.errors import UserError, reason_of

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


def load_pickle(path: Path, cure: str, classes: Mapping[Name, Any] | None = None) -> Any:
    """Rebuild the containers, numbers, words and numpy arrays of a pickle.

    Args:
        path: the file; Python 2's pickles are read too, their words as latin1.
        cure: what the user should do if the file is absent or damaged.
        classes: (module, name) of further things that the pickle may name → what takes their place. It is
            called with what the pickle says, so it must not trust its arguments (wrap functions in `Sealed`).

    Raises:
        UserError: the file is absent, truncated or no pickle, or it names something that is not known here
            (the name is in the message).
    """
    known = {**_ARRAYS, **(classes or {})}
    try:
        with path.open("rb") as stream:
            return _ArraysOnly(stream, path, known).load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {cure}") from None
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged or not a pickle ({reason_of(error)}); {cure}") from None


# What `pickle` raises when bytes are missing or wrong; its documentation warns that the list is open.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, MemoryError,
    OverflowError, TypeError, UnicodeDecodeError, ValueError, struct.error,
)  # fmt: skip
