"""Fit a body to every person of a split, from the mean pose: the fits that training starts with."""

from pathlib import Path
from shutil import rmtree

import torch

from spinloop.annotations.table import count_rows
from spinloop.body.files import load_body
from spinloop.errors import UserError
from spinloop.fitting.offline import fingerprint, finished_batches, fit_batch, keypoint_batches, shard_rows
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.status import count_statuses
from spinloop.fitting.store import FitStore
from spinloop.motion.mixture import load_mixture
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.loader import load_section
from spinloop.stages._progress import rate, say

SECTIONS = {"fitting": FittingParams, "fit_initial": FitInitialParams}


def run(
    *,
    body: Path,
    prior: Path,
    keypoints: Path,
    out: Path,
    shard: int = 0,
    state: Path = Path(".state"),
    params: Path = Path("params.yaml"),
) -> None:
    """Fit one part of a split. Stopped, the same command goes on after the last finished batch.

    Args:
        body: the body (npz).
        prior: the mixture of poses (npz).
        keypoints: table of merged keypoints (Parquet).
        out: the fits of this part (HDF5).
        shard: which part, one of `fit_initial.shards`.
        state: folder for the batches of an unfinished run.
        params: parameter file; sections `fitting` and `fit_initial`.
    """
    fitting = load_section(params, "fitting", FittingParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    n_shards = len(rules.shards)
    if shard not in rules.shards:
        raise UserError(f"--shard {shard}: not in {params}: fit_initial.shards; give 0 to {n_shards - 1}")
    fitter = Fitter(load_body(body), load_mixture(prior), fitting)
    total = count_rows(keypoints, "make it with `spinloop merge`")
    rows = shard_rows(total, shard, n_shards)
    settings = [fitting.model_dump_json(), rules.model_dump_json(), f"{shard} of {n_shards}"]
    folder = state / "fit_initial" / out.stem / fingerprint([body, prior, keypoints], settings)

    batches = keypoint_batches(keypoints, rows, rules.batch_size)
    parts = finished_batches(
        folder, batches, lambda batch: fit_batch(fitter, batch, fitter.fit_from_mean, rules)
    )
    fits = FitStore.join(list(rate(parts, f"fit {out.stem}", len(rows), "fits")))
    fits.save(out)
    rmtree(folder.parent, ignore_errors=True)
    say(f"fit_initial: {len(rows)} people; {count_statuses(torch.from_numpy(fits.array('status')))}")
