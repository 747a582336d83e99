"""Tensors of PyTorch's files, of today's format (a zip archive) and of that before version 1.6.

PyTorch's own reader calls functions that the pickle in the file names, if they are on a list, and takes the
sizes of tensors from it. Here the pickle is run as any other (`files.pickle_program`), a tensor is made only
if its storage has the bytes for it, and a network's settings (`argparse`, `omegaconf`, Lightning) that lie
beside the weights are passed over.
"""

import io
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spinloop.errors import UserError
from spinloop.files.archives import Archive, is_archive
from spinloop.files.gate import reading
from spinloop.files.pickle_program import Made, Name, PickleFault, Stored, UnknownName, run_program
from spinloop.files.pickles import ARRAYS, Maker, Values, parts_of, shape_of

if TYPE_CHECKING:
    from torch import Tensor

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "BoolStorage": ("bool", 1), "ByteStorage": ("uint8", 1), "CharStorage": ("int8", 1),
    "ShortStorage": ("int16", 2), "IntStorage": ("int32", 4), "LongStorage": ("int64", 8),
    "HalfStorage": ("float16", 2), "BFloat16Storage": ("bfloat16", 2), "FloatStorage": ("float32", 4),
    "DoubleStorage": ("float64", 8), "ComplexFloatStorage": ("complex64", 8),
    "ComplexDoubleStorage": ("complex128", 16),
}  # fmt: skip
"""Names of PyTorch's types, and bytes of an entry."""
_PASSED_OVER = {
    "argparse", "lightning", "lightning_fabric", "omegaconf", "pathlib", "pytorch_lightning", "torch",
    "typing", "yacs",
}  # fmt: skip


class Unread:
    """Stands for an object that is not read; its text names what it is."""

    def __init__(self, name: Name) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"an object of {self._name}"


def read_weights(path: Path, fix: str) -> Any:
    """Tensors and plain values of a file of PyTorch's, on the CPU; nothing in it is run.

    Args:
        path: the file.
        fix: what the user should do if it is absent or damaged.

    Returns:
        Containers of tensors, numbers, words and numpy arrays; `Unread` where settings lie beside them.

    Raises:
        UserError: the file is absent, empty, damaged, no file of PyTorch's, names anything else (the name is
            in the message), or claims far more than its size allows.
    """
    with reading(path, "readable as plain weights", fix):
        size = path.stat().st_size
        if not size:
            raise ValueError("the file is empty")
        with path.open("rb") as stream:
            try:
                return (_read_archive if is_archive(path) else _read_old)(stream, size)
            except UnknownName as error:
                reason = f"it asks for {error!s:.80}; nothing of it was run, save the state dict alone"
                raise UserError(f"{path}: not readable as plain weights ({reason}); {fix}") from None


def _read_archive(stream: io.BufferedIOBase, size: int) -> Any:
    archive = Archive(stream, size, has_sums=False)
    names = [name for name in archive.names if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("no data.pkl in the archive")
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.names:
        _check_order(archive.read(f"{folder}byteorder").tobytes().strip() == b"little")
    program = archive.read(names[0]).tobytes()
    root, identities = run_program(io.BytesIO(program), len(program), _is_known)
    kinds = _kinds(identities)
    raw = {key: archive.read(f"{folder}data/{key}") for key in kinds}
    return Values(size, _Makers(kinds, raw)).plain(root)


def _read_old(stream: io.BufferedIOBase, size: int) -> Any:
    """The format before version 1.6: five pickles, then the storages one after the other."""
    magic, protocol, about = (run_program(stream, size, _is_known)[0] for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(about, dict):
        raise ValueError("no file of PyTorch's")
    _check_order(about.get("little_endian") is True)
    root, identities = run_program(stream, size, _is_known)
    kinds, raw = _kinds(identities), {}
    for key in run_program(stream, size, _is_known)[0]:
        (count,) = struct.unpack("<q", stream.read(8))
        n_bytes = count * _TYPES[kinds[key]][1]
        if not 0 <= n_bytes <= size - stream.tell():
            raise ValueError(f"storage {key} is cut")
        raw[key] = np.fromfile(stream, np.uint8, n_bytes)
    return Values(size, _Makers(kinds, raw)).plain(root)


def _check_order(is_little: bool) -> None:
    if not is_little:
        raise ValueError("of a machine of the other byte order")


def _is_known(module: str, name: str) -> bool:
    return (module, name) in _KNOWN or module.split(".")[0] in _PASSED_OVER


def _kinds(identities: list[Any]) -> dict[str, str]:
    """Type of each storage, by its key: ("storage", class, key, place, count) and perhaps a view."""
    kinds = {}
    for identity in identities:
        tag, kind, key = parts_of(identity, 5, 6)[:3]
        if (
            tag != "storage"
            or not isinstance(kind, Name)
            or kind.name not in _TYPES
            or not isinstance(key, str)
        ):
            raise PickleFault("a storage of a type that is not read")
        if kinds.setdefault(key, kind.name) != kind.name or identity[5:] not in ((), (None,)):
            raise PickleFault(f"storage {key} of two types, or a view of it")
    return kinds


class _Makers(dict[tuple[str, str], Maker]):
    """What to make of the names in a file of weights."""

    def __init__(self, kinds: dict[str, str], raw: dict[str, np.ndarray]) -> None:
        super().__init__(ARRAYS)
        self._kinds, self._raw = kinds, raw
        self._storages: dict[str, Tensor] = {}
        self.update({
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("collections", "OrderedDict"): _ordered,
            ("torch", "Size"): _sides,
        })  # fmt: skip

    def __missing__(self, name: tuple[str, str]) -> Maker:
        return _unread

    def _tensor(self, values: Values, made: Made, depth: int) -> "Tensor":
        """Arguments: storage, first entry, sides, steps; what else there is concerns gradients."""
        stored, start, sides, steps = parts_of(made.arguments, 4, 6, 7)[:4]
        sides, steps = shape_of(sides), shape_of(steps)
        if not isinstance(stored, Stored) or type(start) is not int or len(sides) != len(steps):
            raise PickleFault("a tensor without a storage")
        storage = self._storage(stored.identity[2])
        count = math.prod(sides)
        last = start + sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
        if start < 0 or count > len(storage) or (count and last >= len(storage)):
            raise PickleFault(f"a tensor of shape {sides} in a storage of {len(storage)}")
        return storage.as_strided(sides, steps, start) if count else storage[:0].reshape(sides)

    def _storage(self, key: str) -> "Tensor":
        # Most who read files here need no PyTorch, which takes seconds to load.
        import torch

        if key not in self._storages:
            raw, (kind, width) = self._raw[key], _TYPES[self._kinds[key]]
            if kind == "bool" and raw.size and raw.max() > 1:
                raise PickleFault("booleans other than 0 and 1")
            if raw.size % width:
                raise PickleFault(f"storage {key} is cut")
            dtype = getattr(torch, kind)
            self._storages[key] = (
                torch.from_numpy(raw).view(dtype) if raw.size else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def _parameter(values: Values, made: Made, depth: int) -> Any:
    return values.plain(parts_of(made.arguments, 3)[0], depth)


def _ordered(values: Values, made: Made, depth: int) -> dict[Any, Any]:
    """Its items are set afterwards; Python 2 hands them over as a list of pairs."""
    pairs = [pair for argument in parts_of(made.arguments, 0, 1) for pair in argument]
    items = [parts_of(tuple(pair), 2) for pair in pairs] + made.items
    return values.plain(dict(items), depth)


def _sides(values: Values, made: Made, depth: int) -> tuple[int, ...]:
    return shape_of(parts_of(made.arguments, 1)[0])


def _unread(values: Values, made: Made, depth: int) -> Unread:
    return Unread(made.maker)


_KNOWN = set(_Makers({}, {}))
