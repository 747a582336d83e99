"""A run that was stopped goes on bit for bit: its whole state in one file, guarded by what it was made from.

The state of a run lives in a folder of its own, outside the outputs, because DVC and Snakemake delete outputs
before they start a stage. Order, augmentation and dropout follow from the seed and the step, so there is no
generator whose state could be lost.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from spinloop.files import atomic, read_weights

_NAME = "checkpoint.pt"
_CHUNK_BYTES = 1 << 20


def fingerprint(params: Any, inputs: Iterable[Path]) -> str:
    """Digest of the parameters and of the content of all input files.

    Args:
        params: JSON-like values.
        inputs: files, in an order that matters.
    """
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for path in inputs:
        digest.update(b"\0")
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


class Checkpoint:
    """The saved state of one run.

    Args:
        folder: where it lives; made when first needed.
        made_from: `fingerprint` of the run. A state with another one is of another run and is not used.
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
