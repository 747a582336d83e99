"""Copies of the dictionary of best fits during training, for later comparison with a mirror's truth."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.files import atomic


def save_snapshot(
    folder: Path, step: int, pose: Float[np.ndarray, "N 72"], betas: Float[np.ndarray, "N 10"]
) -> None:
    """Keep a copy; the same step again (a run that was stopped) replaces it by the same content.

    Args:
        folder: of the run's state.
        step: steps made.
        pose: axis-angles of every person, radians; zeros without a fit.
        betas: shape coefficients.
    """
    with atomic(folder / f"{step:09d}.npz") as temporary:
        np.savez(temporary, pose=np.float32(pose), betas=np.float32(betas))


def collect_snapshots(
    folder: Path, steps: Sequence[int], ids: Sequence[str], rows: Int[np.ndarray, " N"], out: Path
) -> None:
    """Write all copies as one file: `ids` (N,), `steps` (S,), `pose` (S, N, 72), `betas` (S, N, 10).

    Args:
        folder: of the run's state.
        steps: which copies, ascending.
        ids: of the people to be written.
        rows: where they stand in the copies.
        out: the HDF5 file.

    Raises:
        UserError: a copy is gone.
    """
    with atomic(out) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
        file.create_dataset("steps", data=np.asarray(steps, np.int64))
        shape = (len(steps), len(ids))
        targets = {
            name: file.create_dataset(name, (*shape, width), np.float32, chunks=(1, max(len(ids), 1), width))
            for name, width in (("pose", 72), ("betas", 10))
        }
        for index, step in enumerate(steps):
            path = folder / f"{step:09d}.npz"
            if not path.is_file():
                raise UserError(f"{path}: gone; delete {folder.parent} to train from the start")
            with np.load(path, allow_pickle=False) as copy:
                for name, target in targets.items():
                    target[index] = copy[name][rows]
