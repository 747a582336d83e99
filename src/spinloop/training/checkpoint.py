"""What is saved of an unfinished training: its checkpoint, and snapshots of the dictionary of fits.

The order of samples, augmentation and dropout follow from the seed and the step, so no generator is saved.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.files import output, read_npz
from spinloop.files.hdf5 import hdf5_output
from spinloop.params.training import TrainParams
from spinloop.resume import Checkpoint, MadeFrom, named_values

# How often something is written, and who prepares batches, changes nothing that is computed. Of initial
# weights the content counts, not the name.
_IGNORED = {
    f"train.{name}" for name in ("workers", "history_every", "snapshot_every", "checkpoint_every", "initial")
}
_ROUNDING = {"train.device", "train.precision", "train.compile", "body.engine", "fitting.chunk_size"}
_N_STEPS = "train.n_steps"


class TrainingCheckpoint(Checkpoint):
    """The state of a training."""

    def save_snapshot(
        self, step: int, pose: Float[np.ndarray, "N 72"], betas: Float[np.ndarray, "N 10"]
    ) -> None:
        """Save a snapshot of the dictionary; a resumed run replaces it by the same content.

        Args:
            step: number of steps done.
            pose: axis-angle of every person, radians; zeros without a fit.
            betas: shape coefficients.
        """
        with output(self._snapshot(step)) as stream:
            np.savez(stream, pose=np.float32(pose), betas=np.float32(betas))

    def snapshots_taken(self, steps: Sequence[int]) -> list[int]:
        """Those of some steps after which a snapshot was taken: a run may resume with more of them."""
        return [step for step in steps if self._snapshot(step).is_file()]

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
            UserError: a snapshot is missing or damaged.
        """
        with hdf5_output(out) as file:
            file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
            file.create_dataset("steps", data=np.asarray(steps, np.int64))
            shape, n = (len(steps), len(ids)), max(len(ids), 1)
            datasets = {
                name: file.create_dataset(name, (*shape, width), np.float32, chunks=(1, n, width))
                for name, width in (("pose", 72), ("betas", 10))
            }
            for index, step in enumerate(steps):
                path = self._snapshot(step)
                fix = f"delete {self.folder} to train from the start"
                arrays = read_npz(path, fix)
                for name, dataset in datasets.items():
                    if name not in arrays or arrays[name].shape[1:] != dataset.shape[2:]:
                        raise UserError(f"{path}: {name}: missing or of another shape; {fix}")
                    dataset[index] = arrays[name][rows]

    def _snapshot(self, step: int) -> Path:
        return self.folder / "snapshots" / f"{step:09d}.npz"


def training_made_from(
    sections: Mapping[str, Mapping[str, Any]],
    train: TrainParams,
    contents: Mapping[str, str],
    n_processes: int,
    code: str,
) -> MadeFrom:
    """What the state of a training is made from.

    Args:
        sections: the sections that it reads as plain values, but for `train`.
        train: section `train`.
        contents: digests of its input files, by what they are.
        n_processes: processes that train together.
        code: digest of the command's code.
    """
    values: dict[str, Any] = {}
    for key, section in {**sections, "train": train.model_dump()}.items():
        values |= named_values(key, section, leave_out=_IGNORED)
    rounding = {name: values.pop(name) for name in _ROUNDING & values.keys()}
    rounding |= {"runtime.threads": torch.get_num_threads(), "processes": n_processes}
    is_constant = train.schedule == "constant"
    why = "cosine has planned the learning rate of every step for this number of steps"
    return MadeFrom(
        past=values | {f"content of {name}": digest for name, digest in contents.items()},
        rounding=rounding,
        lengths=[_N_STEPS] if is_constant else [],
        reasons={} if is_constant else {_N_STEPS: why},
        code=code,
    )
