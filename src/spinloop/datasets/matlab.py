"""MATLAB's older files (up to version 7.2) with columns of cells.

MATLAB's newer files (version 7.3), which are HDF5 with every array's axes in reverse order.

MATLAB's files as the datasets have them: version 5 by scipy, 7.3 by HDF5; same content, same bytes.
"""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatReadError

from spinloop.errors import UserError
from spinloop.files import require_file

# What scipy raises when bytes are missing or wrong, or the file is of version 7.3.
_DAMAGE = (
    MatReadError,
    NotImplementedError,
    OSError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_cells(
    path: Path, widths: Mapping[str, int], n_cells: int, cure: str
) -> dict[str, list[Float[np.ndarray, "F W"]]]:
    """Columns of `n_cells` cells, each an array of frames × width.

    Args:
        path: the file.
        widths: the columns that are wanted, and the width of their arrays.
        n_cells: cells of each column.
        cure: what the user should do if the file is absent or damaged.

    Raises:
        UserError: the file is absent, damaged, of another version, or a column is of another shape.
    """
    require_file(path, cure)
    try:
        content = loadmat(path, variable_names=list(widths))
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a MATLAB file up to 7.2 ({reason}); {cure}") from None
    columns = {}
    for key, width in widths.items():
        cells = content.get(key)
        if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.shape != (n_cells, 1):
            found = cells.shape if isinstance(cells, np.ndarray) else "nothing"
            raise UserError(f"{path}: {key}: expected {n_cells} × 1 cells, found {found}; {cure}")
        for index, cell in enumerate(cells[:, 0]):
            if cell.ndim != 2 or cell.shape[1] != width or cell.dtype.kind not in "fiu":
                raise UserError(
                    f"{path}: {key}[{index}]: expected numbers, frames × {width}, "
                    f"found {' × '.join(map(str, cell.shape))}; {cure}"
                )
        columns[key] = [cell.astype(np.float64) for cell in cells[:, 0]]
    return columns


class Hdf5Mat:
    """An open file; every fault of it is one line that names file and key."""

    def __init__(self, path: Path, cure: str) -> None:
        """Open it.

        Args:
            path: the file.
            cure: what the user should do if it is absent or damaged.

        Raises:
            UserError: there is no such file, or it is not HDF5.
        """
        self.path, self._cure = require_file(path, cure), cure
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise self.fault(f"damaged or not a MATLAB 7.3 file ({error})") from None

    def __enter__(self) -> "Hdf5Mat":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._file

    def fault(self, what: str) -> UserError:
        """The error that says what is wrong with this file, and the cure."""
        return UserError(f"{self.path}: {what}; {self._cure}")

    def numbers(self, key: str, shape: Sequence[int | None]) -> Float[np.ndarray, "..."]:
        """An array as HDF5 has it, its axes in the reverse of MATLAB's order.

        Args:
            key: its name.
            shape: what it must have; None for a free axis.

        Raises:
            UserError: it is absent, damaged, no array of numbers, or of another shape.
        """
        found = self._read(key, self._dataset(key))
        fits = len(found.shape) == len(shape) and all(
            want in (None, got) for want, got in zip(shape, found.shape, strict=True)
        )
        if found.dtype.kind not in "fiub" or not fits:
            wanted = " × ".join("frames" if side is None else str(side) for side in shape)
            shown = " × ".join(map(str, found.shape))
            raise self.fault(f"{key}: expected numbers, {wanted}, found {found.dtype}, {shown}")
        return found.astype(np.float64)

    def cells(self, key: str) -> "Cells":
        """A column of cells, each an array; they are read one by one.

        Raises:
            UserError: it is absent or no column of cells.
        """
        dataset = self._dataset(key)
        if dataset.dtype != h5py.ref_dtype or dataset.ndim != 2 or dataset.shape[1] != 1:
            shown = " × ".join(map(str, dataset.shape))
            raise self.fault(f"{key}: expected cells, frames × 1, found {dataset.dtype}, {shown}")
        return Cells(self, key, self._read(key, dataset)[:, 0])

    def cell(self, key: str, index: int, reference: h5py.Reference) -> np.ndarray:
        """The array of one cell."""
        name = f"{key}[{index}]"
        try:
            target = self._file[reference]
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise self.fault(f"{name}: damaged ({error})") from None
        if not isinstance(target, h5py.Dataset):
            raise self.fault(f"{name}: expected an array")
        return self._read(name, target)

    def _dataset(self, key: str) -> h5py.Dataset:
        found = self._file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise self.fault(f"{key}: array missing")
        return found

    def _read(self, key: str, dataset: h5py.Dataset) -> np.ndarray:
        try:
            return dataset[()]
        except (OSError, RuntimeError) as error:
            raise self.fault(f"{key}: damaged ({error})") from None


class Cells:
    """The cells of one key."""

    def __init__(self, file: Hdf5Mat, key: str, references: np.ndarray) -> None:
        self._file, self._key, self._references = file, key, references

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._file.cell(self._key, index, self._references[index])


_TEXT = b"MATLAB 5.0 MAT-file, made by spinloop"
_TEXT73 = b"MATLAB 7.3 MAT-file, made by spinloop HDF5 schema 1.00 ."
_TEXT_LENGTH, _USERBLOCK = 116, 512
# No subsystem, version 2, little endian.
_HEADER73 = bytes(8) + b"\x00\x02IM"
_CLASS = {"float64": b"double", "float32": b"single", "uint8": b"uint8", "int32": b"int32"}

Content = np.ndarray | Sequence[np.ndarray]


def mat5_bytes(arrays: Mapping[str, Content]) -> bytes:
    """A file of version 5.

    Args:
        arrays: by name; a sequence of arrays becomes a column of cells.
    """
    stream = io.BytesIO()
    savemat(stream, {key: _cells(value) for key, value in arrays.items()}, do_compression=True)
    # The first line would hold the time.
    return _TEXT.ljust(_TEXT_LENGTH) + stream.getvalue()[_TEXT_LENGTH:]


def write_mat73(path: Path, arrays: Mapping[str, Content]) -> None:
    """A file of version 7.3: HDF5 with the axes of every array in reverse order.

    Args:
        path: the file.
        arrays: by name, in MATLAB's order of axes; a sequence of arrays becomes a row of cells.
    """
    with h5py.File(path, "w", userblock_size=_USERBLOCK) as file:
        for key, value in arrays.items():
            if isinstance(value, np.ndarray):
                _write_array(file, key, value)
                continue
            references = np.empty((len(value), 1), dtype=h5py.ref_dtype)
            for index, cell in enumerate(value):
                name = f"#refs#/{key}_{index:05d}"
                references[index, 0] = _write_array(file, name, cell).ref
            dataset = file.create_dataset(key, data=references, dtype=h5py.ref_dtype)
            dataset.attrs["MATLAB_class"] = np.bytes_(b"cell")
    with path.open("r+b") as stream:
        stream.write(_TEXT73.ljust(_TEXT_LENGTH) + _HEADER73)


def _cells(value: Content) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    cells = np.empty((len(value), 1), dtype=object)
    for index, cell in enumerate(value):
        cells[index, 0] = cell
    return cells


def _write_array(file: h5py.File, name: str, array: np.ndarray) -> h5py.Dataset:
    dataset = file.create_dataset(name, data=np.ascontiguousarray(array.T), compression=3)
    dataset.attrs["MATLAB_class"] = np.bytes_(_CLASS[array.dtype.name])
    return dataset
