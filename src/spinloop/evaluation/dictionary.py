"""The dictionary of fits during training, against the truth of a mirror.

The root of a fit is rotated relative to the truth's: the axis of the crop's camera points at the person, that
of the image's camera does not. PA-MPJPE does not depend on this rotation; MPJPE includes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError, shape_fault
from spinloop.evaluation.protocols import JointProtocol
from spinloop.evaluation.scores import joint_errors
from spinloop.evaluation.summaries import lineage, mean_interval
from spinloop.evaluation.truth import NEUTRAL, batches, load_truth, rows_by_gender, rows_of
from spinloop.files import atomic
from spinloop.files.hdf5 import open_hdf5
from spinloop.params.evaluation import EvaluateParams

_BATCH = 1024


class Snapshots(NamedTuple):
    """Snapshots of the dictionary of best fits, taken while training."""

    ids: list[str]
    """One per person."""
    steps: Int[np.ndarray, " S"]
    """Training steps done at each snapshot; ascending."""
    pose: Float[np.ndarray, "S N 72"]
    """Axis-angles, radians; zeros (or not finite) where a person has no fit."""
    betas: Float[np.ndarray, "S N 10"]
    """Shape of the neutral body."""

    @property
    def has_fit(self) -> Bool[np.ndarray, "S N"]:
        """Whether a person had a fit; one without has all 72 angles at zero."""
        return np.isfinite(self.pose).all(-1) & (self.pose != 0).any(-1)


class DictionaryEvaluation(NamedTuple):
    """The dictionary of one split, measured at every snapshot."""

    snapshots: Snapshots
    errors: "FitErrors"
    metrics: dict[str, Any]
    """Result of `summarize_fits`, with `protocol` and `lineage`."""


def evaluate_dictionary(
    snapshots: Path,
    truth: Path,
    body_files: Mapping[str, BodyFile],
    protocol: JointProtocol,
    params: EvaluateParams,
) -> DictionaryEvaluation:
    """Measure every snapshot of the dictionary of a split.

    Args:
        snapshots: snapshots of the training (HDF5).
        truth: table of the true bodies.
        body_files: `neutral`, `female` and `male`.
        protocol: whose joints and root are used.
        params: settings of the intervals.

    Raises:
        UserError: a file is absent or faulty, or the truth lacks a person.
    """
    stored, people = load_snapshots(snapshots), load_truth(truth)
    people = people.take(rows_of(people.ids, stored.ids, truth))
    bodies = h36m_skeletons(body_files)
    true_joints = posed_joints(bodies, people.pose, people.betas, people.genders)
    errors = fit_errors(protocol, bodies, stored, true_joints)
    metrics = summarize_fits(stored, errors, **params.bootstrap)
    metrics["protocol"] = protocol.name
    metrics["lineage"] = lineage(params.numbers, dictionary=snapshots, truth=truth)
    return DictionaryEvaluation(stored, errors, metrics)


class FitErrors(NamedTuple):
    """Error of every stored fit; NaN where there is none."""

    pa_mpjpe_mm: Float[np.ndarray, "S N"]
    mpjpe_mm: Float[np.ndarray, "S N"]


def load_snapshots(path: Path) -> Snapshots:
    """Read the snapshots of a training.

    Raises:
        UserError: the file is absent, is not such a file, or holds no snapshot.
    """
    with open_hdf5(path, "a file of snapshots of the dictionary", "run `spinloop train`") as file:
        ids, arrays = file.words("ids"), {name: file.numbers(name) for name in Snapshots._fields[1:]}
        n_steps = len(np.atleast_1d(arrays["steps"]))
        if not n_steps:
            raise UserError(f"{path}: steps: no snapshot of the dictionary; train again")
        shapes = {"steps": (n_steps,), "pose": (n_steps, len(ids), 72), "betas": (n_steps, len(ids), 10)}
        for name, shape in shapes.items():
            if fault := shape_fault(arrays[name].shape, shape):
                raise file.fault(f"{name}: {fault}")
    return Snapshots(ids, **arrays)


def h36m_skeletons(body_files: Mapping[str, BodyFile]) -> dict[str, JointsOnly]:
    """The 17 H36M joints of each body, in float64, by gender."""
    return {gender: JointsOnly(body, "h36m17", torch.float64) for gender, body in body_files.items()}


@torch.no_grad()
def posed_joints(
    bodies: Mapping[str, JointsOnly],
    pose: Float[np.ndarray, "N 72"],
    betas: Float[np.ndarray, "N 10"],
    genders: Sequence[str | None],
) -> Float[np.ndarray, "N 17 3"]:
    """H36M joints of each person on the body of its gender; metres.

    Args:
        bodies: result of `h36m_skeletons`.
        pose: axis-angles, radians.
        betas: shape coefficients of the person's own body.
        genders: gender of each person; None is the neutral body.
    """
    joints = np.empty((len(pose), 17, 3))
    for gender, rows in rows_by_gender(genders):
        for part in batches(len(rows), _BATCH):
            chosen = rows[part]
            tensors = (torch.from_numpy(np.asarray(array[chosen], np.float64)) for array in (pose, betas))
            joints[chosen] = bodies[gender].joints(*tensors).numpy()
    return joints


def fit_errors(
    protocol: JointProtocol,
    bodies: Mapping[str, JointsOnly],
    snapshots: Snapshots,
    true_joints: Float[np.ndarray, "N 17 3"],
) -> FitErrors:
    """Errors of every snapshot of the dictionary.

    Args:
        protocol: whose joints and root are used.
        bodies: result of `h36m_skeletons`; fits are of the neutral body.
        snapshots: the snapshots.
        true_joints: true joints of the same people in the same order.
    """
    errors = FitErrors(*(np.full(snapshots.has_fit.shape, np.nan) for _ in FitErrors._fields))
    for step, known in enumerate(snapshots.has_fit):
        neutral = [NEUTRAL] * int(known.sum())
        fitted = posed_joints(bodies, snapshots.pose[step, known], snapshots.betas[step, known], neutral)
        root_aligned, procrustes_aligned = joint_errors(protocol, fitted, true_joints[known])
        errors.pa_mpjpe_mm[step, known] = procrustes_aligned.mean(-1)
        errors.mpjpe_mm[step, known] = root_aligned.mean(-1)
    return errors


def dictionary_table(snapshots: Snapshots, errors: FitErrors) -> pd.DataFrame:
    """Quality of the dictionary over training: one row per snapshot.

    Means, medians and shares are over the people with a fit at the first snapshot: all rows are of the same
    people; `n_with_fit` counts all people.
    """
    first = snapshots.has_fit[0]
    pa, mpjpe = errors.pa_mpjpe_mm[:, first], errors.mpjpe_mm[:, first]
    return pd.DataFrame(
        {
            "step": snapshots.steps,
            "pa_mpjpe_mm": pa.mean(1),
            "pa_mpjpe_median_mm": np.median(pa, axis=1),
            "pa_mpjpe_p90_mm": np.quantile(pa, 0.9, axis=1),
            "mpjpe_mm": mpjpe.mean(1),
            "improved_percent": 100.0 * (pa < pa[0]).mean(1),
            "worsened_percent": 100.0 * (pa > pa[0]).mean(1),
            "n_with_fit": snapshots.has_fit.sum(1),
        }
    )


def summarize_fits(
    snapshots: Snapshots, errors: FitErrors, confidence: float, n_resamples: int, seed: int
) -> dict[str, Any]:
    """Quality of the dictionary at the first and the last snapshot, and the change, as flat numbers.

    Args:
        snapshots: the snapshots; training images are independent of each other.
        errors: their errors.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples.

    Returns:
        `initial_…`, `final_…` and `change_…` (final − initial of each person; negative is better) of both
        errors with `_low` and `_high`, medians, shares and counts, over the people with a fit at both
        snapshots; `new_…` for those who got their first fit in between.
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
            key, rng = f"{when}_{name}", np.random.default_rng(seed)
            summary |= mean_interval(sample, groups, confidence, n_resamples, rng).named(key)
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
    """Each person's errors at the first and the last snapshot; NaN where there was no fit."""
    columns = {
        f"{when}_{name}": values[row]
        for when, row in (("initial", 0), ("final", -1))
        for name, values in errors._asdict().items()
    }
    return pd.DataFrame({"id": snapshots.ids, **columns})
