"""MATLAB's files as the datasets have them: version 5 by scipy, 7.3 by HDF5; same content, same bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

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
