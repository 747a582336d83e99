"""MATLAB's files: up to version 7.2 read and written by scipy, version 7.3 (which is HDF5) by h5py.

HDF5 has the axes of every array in the reverse of MATLAB's order. Written files have the same bytes for the
same content.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float
from scipy.io import loadmat, savemat

from spinloop.errors import UserError, shape_fault
from spinloop.files import parsing, reading
from spinloop.files.hdf5 import Hdf5, hdf5_output


def read_mat5(path: Path, keys: Sequence[str], fix: str) -> dict[str, np.ndarray]:
    """Arrays of a file up to version 7.2; those of the keys that it has.

    Args:
        path: the file.
        keys: which arrays to read.
        fix: what the user should do if the file is absent or damaged.

    Raises:
        UserError: the file is absent, damaged or of another version.
    """
    with reading(path, "a readable MATLAB file up to 7.2", fix):
        content = loadmat(path, variable_names=list(keys))
    return {key: content[key] for key in keys if isinstance(content.get(key), np.ndarray)}


def read_struct(path: Path, key: str, fix: str) -> Any:
    """A structure of a file up to version 7.2: structures as dicts, arrays of them as lists.

    Args:
        path: the file.
        key: its name.
        fix: what the user should do if the file is absent or damaged.

    Raises:
        UserError: the file is absent, damaged, of another version, or has no such structure.
    """
    with reading(path, "a readable MATLAB file up to 7.2", fix):
        content = loadmat(path, variable_names=[key], simplify_cells=True)
    if not isinstance(content.get(key), dict):
        raise UserError(f"{path}: {key}: structure missing; {fix}")
    return content[key]


def read_cells(
    path: Path, widths: Mapping[str, int], n_cells: int, fix: str
) -> dict[str, list[Float[np.ndarray, "F W"]]]:
    """Columns of `n_cells` cells, each an array of frames × width.

    Args:
        path: a file up to version 7.2.
        widths: the columns that are wanted, and the width of their arrays.
        n_cells: cells of each column.
        fix: what the user should do if the file is absent or damaged.

    Raises:
        UserError: the file is absent, damaged, of another version, or a column is of another shape.
    """
    content, columns = read_mat5(path, list(widths), fix), {}
    for key, width in widths.items():
        cells = content.get(key, np.zeros(0))
        if cells.dtype != object or cells.shape != (n_cells, 1):
            found = cells.shape if key in content else "nothing"
            raise UserError(f"{path}: {key}: expected {n_cells} × 1 cells, found {found}; {fix}")
        for index, cell in enumerate(cells[:, 0]):
            fault = shape_fault(cell.shape, (None, width))
            if fault or cell.dtype.kind not in "fiu":
                fault = fault or f"expected numbers, found {cell.dtype}"
                raise UserError(f"{path}: {key}[{index}]: {fault}; {fix}")
        columns[key] = [cell.astype(np.float64) for cell in cells[:, 0]]
    return columns


class Hdf5Mat:
    """An open file of version 7.3; errors name file and key."""

    def __init__(self, path: Path, fix: str) -> None:
        """Open it.

        Args:
            path: the file.
            fix: what the user should do if it is absent or damaged.

        Raises:
            UserError: there is no such file, or it is not HDF5.
        """
        self.path, self._fix = path, fix
        with reading(path, "a readable MATLAB 7.3 file", fix):
            self._file = Hdf5.open(path, fix)

    def __enter__(self) -> "Hdf5Mat":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._file

    def fault(self, what: str) -> UserError:
        """The error that says what is wrong with this file, and how to fix it."""
        return UserError(f"{self.path}: {what}; {self._fix}")

    def numbers(self, key: str, shape: Sequence[int | None]) -> Float[np.ndarray, "..."]:
        """An array as HDF5 has it, its axes in the reverse of MATLAB's order.

        Args:
            key: its name.
            shape: what it must have; None for a free axis.

        Raises:
            UserError: it is absent, damaged, no array of numbers, or of another shape.
        """
        found = self._file.numbers(key)
        fault = shape_fault(found.shape, shape)
        if fault:
            raise self.fault(f"{key}: {fault}")
        return found.astype(np.float64)

    def cells(self, key: str) -> "Cells":
        """A column of cells, each an array; they are read one by one.

        Raises:
            UserError: it is absent or no column of cells.
        """
        dataset = self._file.dataset(key)
        if dataset.dtype != h5py.ref_dtype or dataset.ndim != 2 or dataset.shape[1] != 1:
            fault = shape_fault(dataset.shape, (None, 1)) or f"found {dataset.dtype}"
            raise self.fault(f"{key}: expected a column of cells: {fault}")
        with parsing(f"{self.path}: {key}", "a column of cells", self._fix):
            return Cells(self, key, dataset[:, 0])

    def cell(self, key: str, index: int, reference: h5py.Reference) -> np.ndarray:
        """The array of one cell."""
        name = f"{key}[{index}]"
        dataset = self._file.referenced(name, reference)
        if dataset.dtype.kind not in "fiub":
            raise self.fault(f"{name}: expected numbers, found {dataset.dtype}")
        with parsing(f"{self.path}: {name}", "a readable array", self._fix):
            return np.asarray(dataset[()])


class Cells:
    """The cells of one key."""

    def __init__(self, file: Hdf5Mat, key: str, references: np.ndarray) -> None:
        self._file, self._key, self._references = file, key, references

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._file.cell(self._key, index, self._references[index])


# Headers; the time that MATLAB writes there is left out.
_TEXT = b"MATLAB 5.0 MAT-file, made by spinloop"
_TEXT73 = b"MATLAB 7.3 MAT-file, made by spinloop HDF5 schema 1.00 ."
_TEXT_LENGTH, _USERBLOCK = 116, 512
# No subsystem, version 2, little endian.
_HEADER73 = bytes(8) + b"\x00\x02IM"
_CLASS = {"float64": b"double", "float32": b"single", "uint8": b"uint8", "int32": b"int32"}

Content = np.ndarray | Sequence[np.ndarray]


def mat5_bytes(arrays: Mapping[str, Content]) -> bytes:
    """The bytes of a file of version 5.

    Args:
        arrays: by name; a sequence of arrays becomes a column of cells.
    """
    stream = io.BytesIO()
    savemat(stream, {key: _cells(value) for key, value in arrays.items()}, do_compression=True)
    return _TEXT.ljust(_TEXT_LENGTH) + stream.getvalue()[_TEXT_LENGTH:]


def write_mat73(path: Path, arrays: Mapping[str, Content]) -> None:
    """Write a file of version 7.3.

    Args:
        path: the file.
        arrays: by name, in MATLAB's order of axes; a sequence of arrays becomes a row of cells.
    """
    with hdf5_output(path, _USERBLOCK) as file:
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
