"""SPIN's fits of MPI-INF-3DHP to all views at once: `mpi-inf-3dhp_mview_fits.npz` of its static fits."""

from pathlib import Path
from typing import Any

from spinloop.errors import UserError
from spinloop.files import read_npz

_CURE = "get SPIN's static fits again, or set sources.<split>.fits to null"
_OTHER = "they belong to other frames; give a file with imgname, or set sources.<split>.fits to null"
_SHAPES = {"pose": (72,), "shape": (10,), "has_smpl": ()}


class MultiviewFits:
    """Bodies by the image's name where the file has names (`imgname`), otherwise by the row."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UserError: it is absent, damaged or of another shape.
        """
        self._path = path
        arrays = read_npz(path, _CURE)
        n_rows = len(arrays.get("pose", ()))
        for key, shape in _SHAPES.items():
            found = arrays[key].shape if key in arrays else "nothing"
            if found != (n_rows, *shape):
                raise UserError(f"{path}: {key}: expected shape {(n_rows, *shape)}, found {found}; {_CURE}")
        self._pose, self._betas, self._has = (arrays[key] for key in _SHAPES)
        names = arrays.get("imgname")
        self._rows = None if names is None else {str(name): row for row, name in enumerate(names)}

    def body(self, row: int, image: str) -> dict[str, Any]:
        """`pose`, `betas` and `gender` of a record; empty where there is no fit.

        Args:
            row: how many people of the split come before.
            image: name of the extracted frame.

        Raises:
            UserError: the file has fewer rows.
        """
        place = row if self._rows is None else self._rows.get(image)
        if place is None or (place < len(self._has) and not self._has[place]):
            return {}
        if place >= len(self._has):
            raise UserError(f"{self._path}: {len(self._has)} rows, but there are more people; {_OTHER}")
        return {"pose": self._pose[place], "betas": self._betas[place], "gender": "neutral"}

    def require_rows(self, n_people: int) -> None:
        """Check that the rows were those of these people.

        Raises:
            UserError: rows are told apart by their number only, and that differs.
        """
        if self._rows is None and len(self._has) != n_people:
            raise UserError(f"{self._path}: {len(self._has)} rows, but {n_people} people; {_OTHER}")
