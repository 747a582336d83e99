"""Parts of a split's fits, joined on disk; no more than one part is in memory."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int

from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.fitting.store import FIELDS, STATUSES, FitStore


class Joined:
    """What became of everybody in joined parts."""

    def __init__(self) -> None:
        """Nobody yet."""
        self.n_people = 0
        self.n_known = 0
        self.statuses: Int[np.ndarray, " S"] = np.zeros(len(STATUSES), np.int64)

    def add(self, part: FitStore) -> None:
        """Count the people of a part."""
        self.n_people += len(part)
        self.n_known += int(part.is_known.sum())
        self.statuses += np.bincount(part.array("status"), minlength=len(STATUSES))


def part_files(places: Sequence[Path]) -> list[Path]:
    """Files as they are given, folders as the files in them: those named by numbers by number, others after.

    Raises:
        UserError: a folder holds no part.
    """
    files = []
    for place in places:
        found = sorted(place.glob("*.h5"), key=_by_number) if place.is_dir() else [place]
        if not found:
            raise UserError(f"{place}: no part (*.h5) there; make them with `spinloop fit_initial`")
        files += found
    return files


def join_parts(files: Sequence[Path], out: Path) -> Joined:
    """Write one store with everybody of all parts, in their order; atomically.

    Args:
        files: the parts.
        out: the store.

    Raises:
        UserError: a part is absent or faulty, or an id is in two parts.
    """
    joined, where = Joined(), {}
    with atomic(out) as temporary, h5py.File(temporary, "w") as file:
        ids = file.create_dataset("ids", (0,), maxshape=(None,), dtype=h5py.string_dtype())
        fields = {}
        for name, (dtype, shape, unit) in FIELDS.items():
            fields[name] = file.create_dataset(
                name, (0, *shape), maxshape=(None, *shape), dtype=dtype, chunks=(1024, *shape)
            )
            fields[name].attrs["unit"] = unit
        for path in files:
            part = FitStore.open(path)
            for id_ in part.ids:
                if where.setdefault(id_, path) != path:
                    raise UserError(f"{path}: {id_}: also in {where[id_]}; give every part once")
            first = joined.n_people
            joined.add(part)
            ids.resize(joined.n_people, axis=0)
            ids[first:] = list(part.ids)
            for name, field in fields.items():
                field.resize(joined.n_people, axis=0)
                field[first:] = part.array(name)
    return joined


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem), "") if path.stem.isdigit() else (1 << 62, path.name)
