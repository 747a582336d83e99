"""The saved state of a run: its checkpoint, and snapshots of the dictionary of fits.

It lies in a folder of its own, outside the outputs, since DVC and Snakemake delete outputs before they start
a stage. The order of samples, augmentation and dropout follow from the seed and the step, so no generator is
saved.
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
        folder: made when first needed.
        made_from: `files.fingerprint` of the run. A saved state with another one is deleted, not used.
    """

    def __init__(self, folder: Path, made_from: str):
        self.folder = folder
        self._made_from = made_from

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, atomically.

        Args:
            state: tensors and plain Python values.
        """
        with atomic(self.folder / _NAME) as temporary, temporary.open("wb") as stream:
            torch.save({"made_from": self._made_from, "state": state}, stream)

    def load(self) -> dict[str, Any] | None:
        """The saved state of this run; None if there is none.

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
        """Delete the folder: the run is finished, or the state is another run's."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save_snapshot(
        self, step: int, pose: Float[np.ndarray, "N 72"], betas: Float[np.ndarray, "N 10"]
    ) -> None:
        """Save a snapshot of the dictionary; a resumed run replaces it by the same content.

        Args:
            step: number of steps done.
            pose: axis-angle of every person, radians; zeros without a fit.
            betas: shape coefficients.
        """
        with atomic(self._snapshot(step)) as temporary:
            np.savez(temporary, pose=np.float32(pose), betas=np.float32(betas))

    def collect_snapshots(
        self, steps: Sequence[int], ids: Sequence[str], rows: Int[np.ndarray, " N"], out: Path
    ) -> None:
        """Write snapshots as one file: `ids` (N,), `steps` (S,), `pose` (S, N, 72), `betas` (S, N, 10).

        Args:
            steps: steps of the snapshots, ascending.
            ids: the people to write.
            rows: their rows in the snapshots.
            out: HDF5 file.

        Raises:
            UserError: a snapshot is missing.
        """
        with atomic(out) as temporary, h5py.File(temporary, "w") as file:
            file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
            file.create_dataset("steps", data=np.asarray(steps, np.int64))
            shape, n = (len(steps), len(ids)), max(len(ids), 1)
            datasets = {
                name: file.create_dataset(name, (*shape, width), np.float32, chunks=(1, n, width))
                for name, width in (("pose", 72), ("betas", 10))
            }
            for index, step in enumerate(steps):
                path = self._snapshot(step)
                if not path.is_file():
                    raise UserError(f"{path}: missing; delete {self.folder} to train from the start")
                with np.load(path, allow_pickle=False) as snapshot:
                    for name, dataset in datasets.items():
                        dataset[index] = snapshot[name][rows]

    def _snapshot(self, step: int) -> Path:
        return self.folder / "snapshots" / f"{step:09d}.npz"
