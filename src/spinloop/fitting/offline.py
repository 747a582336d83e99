"""Fits of a whole split, a batch at a time, that can be stopped and go on where they were.

Each finished batch is a file of its own in a folder of state, named after everything that decides the fits;
the same command finds them there. Nothing but one batch is held in memory until the batches are joined.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.annotations.merge import KEYPOINTS
from spinloop.annotations.table import iterate_table
from spinloop.body.state import BodyState
from spinloop.fitting.fit import Better, Fit, FitResult
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.fitting.status import fit_status
from spinloop.fitting.store import STATUSES, FitStore
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.geometry.crop_frame import CENTER_PX, CROP_PX
from spinloop.params.fitting import FitInitialParams


class KeypointBatch(NamedTuple):
    """Keypoints of some people."""

    ids: list[str]
    keypoints: Float[Tensor, "B 49 3"]
    """Pixels of each person's crop, and confidence."""


def keypoint_batches(path: Path, rows: range, batch_size: int) -> Iterator[KeypointBatch]:
    """Read part of a table of merged keypoints in batches.

    Args:
        path: `data/keypoints/<split>.parquet`.
        rows: which rows, one contiguous run.
        batch_size: people in a batch; the last one may be smaller.
    """
    held: list[dict[str, Any]] = []
    for number, row in enumerate(iterate_table(path, KEYPOINTS, "make it with `spinloop merge`")):
        if number in rows:
            held.append(row)
        if held and (len(held) == batch_size or number + 1 == rows.stop):
            yield _batch(held)
            held = []
        if number + 1 == rows.stop:
            return


def shard_rows(n_rows: int, shard: int, n_shards: int) -> range:
    """The rows of one of `n_shards` contiguous parts whose sizes differ by one at most."""
    return range(shard * n_rows // n_shards, (shard + 1) * n_rows // n_shards)


def crop_keypoints(
    keypoints: Float[np.ndarray, "N J 3"], center: Float[np.ndarray, "N 2"], scale: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N J 3"]:
    """Keypoints of the original image in pixels of each person's 224 px crop; confidences are kept.

    Args:
        keypoints: px of the original image, confidence.
        center: middle of the box, px of the original image.
        scale: side of the box / 200 px.
    """
    zoom = CROP_PX / (BOX_UNIT_PX * scale)
    moved = (keypoints[..., :2] - center[:, None]) * zoom[:, None, None] + CENTER_PX
    return np.concatenate([moved, keypoints[..., 2:]], axis=-1)


def fit_batch(
    fitter: Fitter, batch: KeypointBatch, solve: Callable[[Tensor], FitResult], params: FitInitialParams
) -> FitStore:
    """Fits of one batch with their statuses; people with too few joints get none.

    Args:
        fitter: measures the errors.
        batch: who.
        solve: keypoints to fits.
        params: the limits.
    """
    n = len(batch.ids)
    nobody = Fit(
        BodyState(torch.zeros(n, 72), torch.zeros(n, 10), torch.zeros(n, 3)),
        torch.full((n,), torch.inf),
        torch.zeros(n, dtype=torch.bool),
    )
    result = solve(batch.keypoints)
    status = fit_status(result, batch.keypoints, params)
    better: Better = keep_better(fitter, nobody, result, batch.keypoints)
    enough = status != STATUSES.index("too_few_joints")
    store = FitStore(batch.ids, fitter.root_joint)
    store.put(batch.ids, None, better._replace(is_new=better.is_new & enough), "initial", 0, status)
    return store


def finished_batches(
    folder: Path, batches: Iterator[KeypointBatch], fit: Callable[[KeypointBatch], FitStore]
) -> Iterator[FitStore]:
    """Each batch's fits, made now or found in the folder.

    Args:
        folder: of the state; files in it are trusted (see `fingerprint`).
        batches: all batches, in the same order at every call.
        fit: makes what is not there yet.
    """
    for number, batch in enumerate(batches):
        part = folder / f"{number:06d}.h5"
        if not part.is_file():
            fit(batch).save(part)
        yield FitStore.open(part)


def fingerprint(files: list[Path], settings: list[str]) -> str:
    """A name for everything that decides the fits: contents of files, and settings as text."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    for text in settings:
        digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()[:20]


def _batch(rows: list[dict[str, Any]]) -> KeypointBatch:
    keypoints = np.stack([row["keypoints"] for row in rows]).astype(np.float64)
    center, scale = np.stack([row["center"] for row in rows]), np.array([row["scale"] for row in rows])
    moved = crop_keypoints(keypoints, center.astype(np.float64), scale.astype(np.float64))
    return KeypointBatch([row["id"] for row in rows], torch.from_numpy(moved.astype(np.float32)))
