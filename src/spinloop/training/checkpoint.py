"""A run that was stopped goes on bit for bit: its whole state in one file, guarded by what it was made from.

The state of a run lives in a folder of its own, outside the outputs, because DVC and Snakemake delete outputs
before they start a stage. Order, augmentation and dropout follow from the seed and the step, so there is no
generator whose state could be lost.

Copies of the dictionary of best fits during training, for later comparison with a mirror's truth.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.files import atomic, read_weights

_NAME = "checkpoint.pt"


class Checkpoint:
    """The saved state of one run.

    Args:
        folder: where it lives; made when first needed.
        made_from: `files.fingerprint` of the run. A state with another one is of another run and is not used.
    """

    def __init__(self, folder: Path, made_from: str):
        self.folder = folder
        self._made_from = made_from

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a kill at any moment leaves the old or the new one whole.

        Args:
            state: tensors and plain Python values.
        """
        with atomic(self.folder / _NAME) as temporary, temporary.open("wb") as stream:
            torch.save({"made_from": self._made_from, "state": state}, stream)

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None if the run starts afresh.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / _NAME
        if not path.is_file():
            return None
        saved = read_weights(path, f"delete {self.folder} to train from the start")
        if saved["made_from"] != self._made_from:
            self.remove()
            return None
        return saved["state"]

    def remove(self) -> None:
        """Delete the run's folder: it is finished, or it was another run's."""
        shutil.rmtree(self.folder, ignore_errors=True)


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
