"""MATLAB's newer files (version 7.3), which are HDF5 with every array's axes in reverse order."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import require_file


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
