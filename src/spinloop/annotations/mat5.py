"""MATLAB's older files (up to version 7.2) with columns of cells."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat
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
