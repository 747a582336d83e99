"""The dictionary of fits against the truth that only a mirror has.

A fit's root is turned as the crop's own camera sees it, whose axis points at the person; the truth's root as
the picture's camera sees it. PA-MPJPE does not see that turn; MPJPE does, so it is given as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.protocols import Protocol
from spinloop.evaluation.scores import joint_errors
from spinloop.evaluation.truth import NEUTRAL, batches, rows_by_gender
from spinloop.files import atomic, reading

_BATCH = 1024


class Snapshots(NamedTuple):
    """Copies of the dictionary of best fits, taken while training."""

    ids: list[str]
    """One per person."""
    steps: Int[np.ndarray, " S"]
    """Training steps done at each copy; ascending."""
    pose: Float[np.ndarray, "S N 72"]
    """Axis-angles; zeros (or not finite) where a person has no fit."""
    betas: Float[np.ndarray, "S N 10"]
    """Shape of the neutral body."""

    @property
    def has_fit(self) -> Bool[np.ndarray, "S N"]:
        """Whether a person had a fit at a step; no fit is a body with all 72 angles at zero."""
        return np.isfinite(self.pose).all(-1) & (self.pose != 0).any(-1)


class FitErrors(NamedTuple):
    """Error of every stored fit; not a number where there is none."""

    pa_mpjpe_mm: Float[np.ndarray, "S N"]
    mpjpe_mm: Float[np.ndarray, "S N"]


def load_snapshots(path: Path) -> Snapshots:
    """Read the copies that training keeps.

    Raises:
        UserError: the file is absent, is not such a file, or holds no copy.
    """
    with reading(path, "a file of dictionary copies", "run `spinloop train`"), h5py.File(path) as file:
        arrays = {name: np.asarray(file[name]) for name in Snapshots._fields}
    if not len(arrays["steps"]):
        raise UserError(f"{path}: steps: no copy of the dictionary; train again")
    ids = [name.decode() if isinstance(name, bytes) else str(name) for name in arrays["ids"]]
    return Snapshots(ids, arrays["steps"], arrays["pose"], arrays["betas"])


@torch.no_grad()
def posed_joints(
    bodies: Mapping[str, JointsOnly],
    pose: Float[np.ndarray, "N 72"],
    betas: Float[np.ndarray, "N 10"],
    genders: Sequence[str | None],
) -> Float[np.ndarray, "N 17 3"]:
    """H36M joints of each person on the body of its gender; metres.

    Args:
        bodies: `neutral`, `female` and `male`, with the rows `h36m17`.
        pose: axis-angles.
        betas: shape coefficients of the person's own body.
        genders: key of `bodies`; None is the neutral body.
    """
    joints = np.empty((len(pose), 17, 3))
    for gender, rows in rows_by_gender(genders):
        for part in batches(len(rows), _BATCH):
            chosen = rows[part]
            tensors = (torch.from_numpy(np.asarray(array[chosen], np.float64)) for array in (pose, betas))
            joints[chosen] = bodies[gender].joints(*tensors).numpy()
    return joints


def fit_errors(
    protocol: Protocol,
    bodies: Mapping[str, JointsOnly],
    snapshots: Snapshots,
    true_joints: Float[np.ndarray, "N 17 3"],
) -> FitErrors:
    """Errors of every copy of the dictionary.

    Args:
        protocol: whose joints and root are used.
        bodies: see `posed_joints`, in float64; fits are of the neutral body.
        snapshots: the copies.
        true_joints: of the same people in the same order.
    """
    errors = FitErrors(*(np.full(snapshots.has_fit.shape, np.nan) for _ in FitErrors._fields))
    for step, known in enumerate(snapshots.has_fit):
        neutral = [NEUTRAL] * int(known.sum())
        fitted = posed_joints(bodies, snapshots.pose[step, known], snapshots.betas[step, known], neutral)
        direct, aligned = joint_errors(protocol, fitted, true_joints[known])
        errors.pa_mpjpe_mm[step, known] = aligned.mean(-1)
        errors.mpjpe_mm[step, known] = direct.mean(-1)
    return errors


def dictionary_table(snapshots: Snapshots, errors: FitErrors) -> pd.DataFrame:
    """How the dictionary's quality changes: one row per copy.

    Means, medians and shares are over the people who had a fit at the first copy, so that all rows speak of
    the same people; `n_with_fit` counts everybody.
    """
    first = snapshots.has_fit[0]
    pa, direct = errors.pa_mpjpe_mm[:, first], errors.mpjpe_mm[:, first]
    return pd.DataFrame(
        {
            "step": snapshots.steps,
            "pa_mpjpe_mm": pa.mean(1),
            "pa_mpjpe_median_mm": np.median(pa, axis=1),
            "pa_mpjpe_p90_mm": np.quantile(pa, 0.9, axis=1),
            "mpjpe_mm": direct.mean(1),
            "improved_percent": 100.0 * (pa < pa[0]).mean(1),
            "worsened_percent": 100.0 * (pa > pa[0]).mean(1),
            "n_with_fit": snapshots.has_fit.sum(1),
        }
    )


def summarize_fits(
    snapshots: Snapshots, errors: FitErrors, confidence: float, n_resamples: int, seed: int
) -> dict[str, Any]:
    """Quality of the dictionary at the first and the last copy, and the change, as flat numbers.

    Args:
        snapshots: the copies; training images are independent of each other.
        errors: of the same copies.
        confidence: of the intervals, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Returns:
        `initial_…`, `final_…` and `change_…` (final − initial of each person: below zero is better) of both
        errors with `_low` and `_high`, medians, shares and counts, over the people with a fit at both
        copies; `new_…` for those who got their first fit in between.
    """
    first, last = snapshots.has_fit[0], snapshots.has_fit[-1]
    both = first & last
    summary: dict[str, Any] = {
        "n": len(snapshots.ids),
        "n_compared": int(both.sum()),
        "initial_n": int(first.sum()),
        "final_n": int(last.sum()),
        "steps": int(snapshots.steps[-1]),
        "confidence": confidence,
    }
    for name, values in errors._asdict().items():
        series = {"initial": values[0, both], "final": values[-1, both]}
        series["change"] = series["final"] - series["initial"]
        for when, sample in series.items():
            groups = np.arange(len(sample))
            interval = mean_interval(sample, groups, confidence, n_resamples, np.random.default_rng(seed))
            key = f"{when}_{name}"
            summary |= {key: interval.mean, f"{key}_low": interval.low, f"{key}_high": interval.high}
            summary[f"{key.removesuffix('_mm')}_median_mm"] = float(np.median(sample))
    new = ~first & last
    summary["new_n"] = int(new.sum())
    if new.any():
        summary["new_pa_mpjpe_mm"] = float(errors.pa_mpjpe_mm[-1, new].mean())
    pa = errors.pa_mpjpe_mm[:, both]
    summary["improved_percent"] = float(100.0 * (pa[-1] < pa[0]).mean())
    summary["worsened_percent"] = float(100.0 * (pa[-1] > pa[0]).mean())
    return summary


def save_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, numbers to a thousandth."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f", lineterminator="\n")


def people_table(snapshots: Snapshots, errors: FitErrors) -> pd.DataFrame:
    """Each person's errors at the first and the last copy; empty where there was no fit."""
    columns = {
        f"{when}_{name}": values[row]
        for when, row in (("initial", 0), ("final", -1))
        for name, values in errors._asdict().items()
    }
    return pd.DataFrame({"id": snapshots.ids, **columns})
