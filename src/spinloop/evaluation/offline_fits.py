"""Errors of offline fits: on a mirror's training images by their start, on test images beside the networks.

Offline fits start at the mean pose, as in SMPLify, or at the 2D joints lifted to 3D; on test images also at a
network's prediction, as in the loop. All use the 2D joints of the image, which the network does not see.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Integer, Shaped
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.dictionary import h36m_skeletons, posed_joints
from spinloop.evaluation.predictions import Predictions, StoredPredictions, predictions_of, save_predictions
from spinloop.evaluation.protocols import AnyProtocol, JointProtocol
from spinloop.evaluation.scores import AnyScores, Reference, joint_errors, score_predictions, stored_scores
from spinloop.evaluation.summaries import intervals, mean_interval, paired_changes, sequence_labels
from spinloop.evaluation.truth import NEUTRAL, load_truth, rows_of
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.offline import keypoint_batches, part_files
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.starts import STARTS, FittingSetup, Start, start_from, start_named
from spinloop.geometry.crop import crop_keypoints
from spinloop.joints import COMMON24, MODEL49
from spinloop.params.evaluation import EvaluateParams
from spinloop.tables.fits import FAILURES, STATUSES, FitStore
from spinloop.tables.records import column_array
from spinloop.tables.table import count_rows


class FittedBodies(NamedTuple):
    """Neutral bodies and their reprojection error."""

    pose: Float[np.ndarray, "N 72"]
    """Axis-angles, radians."""
    betas: Float[np.ndarray, "N 10"]
    reprojection_px2: Float[np.ndarray, " N"]
    """Robust, mean over the 49 joints, with the translation that reprojects best."""


class StartErrors(NamedTuple):
    """Errors of each person before (`initial`) and after (`final`) the fits from one start."""

    initial_reprojection_px2: Float[np.ndarray, " N"]
    """As in `FittedBodies`."""
    final_reprojection_px2: Float[np.ndarray, " N"]
    initial_pa_mpjpe_mm: Float[np.ndarray, " N"]
    final_pa_mpjpe_mm: Float[np.ndarray, " N"]
    initial_mpjpe_mm: Float[np.ndarray, " N"]
    final_mpjpe_mm: Float[np.ndarray, " N"]
    has_fit: Bool[np.ndarray, " N"]
    """Final errors are NaN where there is no fit."""
    status: Integer[np.ndarray, " N"]
    """Index into `tables.fits.STATUSES`."""


def evaluate_starts(
    folders: Mapping[str, Path],
    keypoints: Path,
    truth: Path,
    lifter: Path,
    setup: FittingSetup,
    body_files: Mapping[str, BodyFile],
    protocol: JointProtocol,
    params: EvaluateParams,
) -> dict[str, Any]:
    """Compare the starts of the offline fits of a mirror's training split.

    Args:
        folders: folder of the fits' parts, by start.
        keypoints: the fitted keypoints (Parquet).
        truth: table of the true bodies.
        lifter: file of the lifter.
        setup: body, prior and parameters of the fits.
        body_files: `neutral`, `female` and `male`.
        protocol: whose joints and root are used.
        params: settings of the intervals.

    Returns:
        The result of `compare_starts`.
    """
    skeletons, people = h36m_skeletons(body_files), load_truth(truth)
    errors = {}
    for name, folder in folders.items():
        store = FitStore.join([FitStore.open(part) for part in part_files([folder])])
        true = people.take(rows_of(people.ids, store.ids, truth))
        true_joints = posed_joints(skeletons, true.pose, true.betas, true.genders)
        start = start_named(name, setup, lifter)
        initial = _initial_bodies(start, keypoints, store.ids, setup.offline.batch_size)
        final = FittedBodies(*(store.array(key) for key in ("pose", "betas", "error")))
        errors[name] = start_errors(
            protocol, skeletons, true_joints, initial, final, store.is_known, store.array("status")
        )
    return compare_starts(errors, STATUSES, FAILURES, **params.bootstrap)


def _initial_bodies(start: Start, keypoints: Path, wanted: Sequence[str], batch_size: int) -> FittedBodies:
    """The bodies at which the fits start, in the order of the wanted ids."""
    n = count_rows(keypoints, "make it with `spinloop merge`")
    ids, parts = [], []
    for batch in keypoint_batches(keypoints, range(n), batch_size):
        placed = start.fitter.place(start.estimate(batch.keypoints), batch.keypoints)
        error = start.fitter.reprojection(placed, batch.keypoints).mean(-1)
        ids += batch.ids
        parts.append([part.numpy() for part in (placed.pose, placed.betas, error)])
    rows = rows_of(ids, wanted, keypoints)
    return FittedBodies(*(np.concatenate(part)[rows] for part in zip(*parts, strict=True)))


def start_errors(
    protocol: JointProtocol,
    skeletons: Mapping[str, JointsOnly],
    true_joints: Float[np.ndarray, "N 17 3"],
    initial: FittedBodies,
    final: FittedBodies,
    has_fit: Bool[np.ndarray, " N"],
    status: Integer[np.ndarray, " N"],
) -> StartErrors:
    """Errors before and after the fits, per person.

    Args:
        protocol: whose joints and root are used.
        skeletons: result of `dictionary.h36m_skeletons`.
        true_joints: true joints of the same people.
        initial: bodies before the fits.
        final: bodies after the fits.
        has_fit: who has a fit.
        status: index into `tables.fits.STATUSES`.
    """
    errors: dict[str, np.ndarray] = {}
    for when, bodies in (("initial", initial), ("final", final)):
        joints = posed_joints(skeletons, bodies.pose, bodies.betas, [NEUTRAL] * len(bodies.pose))
        mpjpe, pa_mpjpe = (each.mean(-1) for each in joint_errors(protocol, joints, true_joints))
        known = has_fit | (when == "initial")
        errors[f"{when}_reprojection_px2"] = np.where(known, bodies.reprojection_px2, np.nan)
        errors[f"{when}_pa_mpjpe_mm"] = np.where(known, pa_mpjpe, np.nan)
        errors[f"{when}_mpjpe_mm"] = np.where(known, mpjpe, np.nan)
    return StartErrors(**errors, has_fit=has_fit, status=status)


def compare_starts(
    starts: Mapping[str, StartErrors],
    statuses: Sequence[str],
    failures: Sequence[str],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Means, medians and 95th percentiles of each start, its failures, and the change from the first start.

    Intervals are given for the means of the final 3D errors and of the change. Errors are over the people
    with a fit from every start; people are independent of each other.

    Args:
        starts: errors by start, all of the same people in the same order.
        statuses: names of the statuses.
        failures: the statuses that are failures.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples.

    Raises:
        UserError: nobody has a fit from every start.
    """
    everyone = np.logical_and.reduce([errors.has_fit for errors in starts.values()])
    if not everyone.any():
        raise UserError(f"fits: nobody has a fit from every start ({', '.join(starts)}); fit again")

    def interval(values: Float[np.ndarray, " N"]) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        return mean_interval(values, np.arange(len(values)), confidence, n_resamples, rng)._asdict()

    failing = [statuses.index(name) for name in failures]
    (first_name, first), summaries = next(iter(starts.items())), dict[str, Any]()
    for name, errors in starts.items():
        summary: dict[str, Any] = {
            "failed_percent": 100 * float(np.isin(errors.status, failing).mean()),
            "status": {word: int((errors.status == code).sum()) for code, word in enumerate(statuses)},
        }
        for key, values in errors._asdict().items():
            if key.endswith(("_px2", "_mm")):
                chosen = values[everyone]
                median, p95 = np.quantile(chosen, [0.5, 0.95]).tolist()
                has_interval = key.startswith("final_") and key.endswith("_mm")
                mean = interval(chosen) if has_interval else {"mean": float(chosen.mean())}
                summary[key] = {**mean, "median": median, "p95": p95}
        if errors is not first:
            change = errors.final_pa_mpjpe_mm - first.final_pa_mpjpe_mm
            summary["change_pa_mpjpe_mm"] = interval(change[everyone])
        summaries[name] = summary
    numbers = {"n": len(everyone), "n_compared": int(everyone.sum()), "confidence": confidence}
    return {**numbers, "first": first_name, "starts": summaries}


class ScoredBodies(NamedTuple):
    """Scores of some people's predictions or fits."""

    scores: AnyScores
    reprojection_px2: float
    """Mean robust reprojection error, each body with the translation that reprojects best."""


def fit_test_images(
    networks: Mapping[str, StoredPredictions],
    reference: Reference,
    setup: FittingSetup,
    lifter: Path,
    protocol: AnyProtocol,
    params: EvaluateParams,
    out: Path,
    attributes: Mapping[str, str],
) -> dict[str, Any]:
    """Fit test images from every start and from every network; score fits and networks on the same people.

    People with fewer visible joints than `fit_initial.min_joints` are left out.

    Args:
        networks: predictions of each setting, all of the same people.
        reference: the truth of these people.
        setup: body, prior and parameters of the fits.
        lifter: file of the lifter.
        protocol: protocol of the split.
        params: batch size and intervals.
        out: folder of the fits and their errors, one file for each start.
        attributes: attributes of these files.

    Returns:
        Counts, and the result of `summarize_test_fits` if anybody was fitted.
    """
    keypoints = image_keypoints(reference.records)
    rows = rows_to_fit(keypoints, setup.offline.min_joints)
    counts = {"n": len(rows), "n_without_keypoints": len(keypoints) - len(rows)}
    if not len(rows):
        return counts
    reference, keypoints = reference.take(rows), keypoints[rows]
    judge = setup.fitter(anchor="none")
    predicted = {name: each.predictions.take(rows) for name, each in networks.items()}
    ids, body = reference.records["id"].tolist(), reference.bodies[NEUTRAL]
    fitted: dict[str, ScoredBodies] = {}
    for start, state in _fits_from_all_starts(predicted, keypoints, setup, lifter):
        bodies = predictions_of(ids, state, body, params.batch_size)
        scores = score_predictions(protocol, bodies, reference, params.batch_size)
        fitted[start] = ScoredBodies(scores, mean_reprojection(judge, bodies, keypoints))
        named = {**attributes, "start": start}
        save_predictions(out / f"{start}.h5", bodies, named, scores.arrays, scores.attributes)
    before = {
        name: ScoredBodies(
            stored_scores(protocol, each.errors, rows), mean_reprojection(judge, predicted[name], keypoints)
        )
        for name, each in networks.items()
    }
    after = {name: fitted[f"network_{name}"] for name in networks}
    starts = {name: fitted[name] for name in STARTS}
    groups = sequence_labels(reference.records)
    return counts | summarize_test_fits(before, after, starts, groups, **params.bootstrap)


def _fits_from_all_starts(
    networks: Mapping[str, Predictions], keypoints: Float[Tensor, "N 49 3"], setup: FittingSetup, lifter: Path
) -> Iterator[tuple[str, BodyState]]:
    """Name of each start, and the fits from there."""
    for start in STARTS:
        yield start, start_named(start, setup, lifter).fit(keypoints).state
    for setting, predicted in networks.items():
        yield f"network_{setting}", start_from(predicted.to_state(), setup).fit(keypoints).state


def image_keypoints(records: pd.DataFrame) -> Float[Tensor, "N 49 3"]:
    """Annotated 2D joints of people as a fit takes them: px of each person's 224 px crop, and confidence.

    Joints that are not annotated have confidence 0, as all joints of a table without 2D joints.
    """
    annotated = np.nan_to_num(column_array(records, "keypoints").astype(np.float64))
    keypoints = np.zeros((len(records), len(MODEL49), 3))
    keypoints[:, -len(COMMON24) :] = annotated
    centers = np.array(records["center"].tolist(), dtype=np.float64).reshape(-1, 2)
    moved = crop_keypoints(keypoints, centers, records["scale"].to_numpy(dtype=np.float64))
    return torch.from_numpy(moved.astype(np.float32))


def rows_to_fit(keypoints: Float[Tensor, "N 49 3"], min_joints: int) -> Int[np.ndarray, " M"]:
    """Rows of the people with enough joints that a fit uses."""
    n_visible = (fitted_keypoints(keypoints)[..., 2] > 0).sum(-1)
    return np.flatnonzero(n_visible.numpy() >= min_joints)


def mean_reprojection(fitter: Fitter, bodies: Predictions, keypoints: Float[Tensor, "N 49 3"]) -> float:
    """Mean robust reprojection error, px², each body with the translation that reprojects best."""
    placed = fitter.place(bodies.to_state(), keypoints)
    return float(fitter.reprojection(placed, keypoints).mean())


def summarize_test_fits(
    networks: Mapping[str, ScoredBodies],
    fits: Mapping[str, ScoredBodies],
    starts: Mapping[str, ScoredBodies],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Metrics of networks and fits on the same people, and the change from each network to its fit.

    Args:
        networks: predictions of each setting's network.
        fits: fits that start at these predictions, by setting.
        starts: fits from other starts, by start.
        groups: people who are resampled together.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples.

    Returns:
        `starts`: name → metrics; `networks`: setting → `network`, `fit` and `change` (fit minus network,
        person by person) → metrics; each metric with `_low` and `_high`.
    """
    bootstrap = (confidence, n_resamples, seed)

    def numbers(bodies: ScoredBodies) -> dict[str, float]:
        return intervals(bodies.scores, groups, *bootstrap) | {"reprojection_px2": bodies.reprojection_px2}

    pairs = {
        setting: {
            "network": numbers(networks[setting]),
            "fit": numbers(fit),
            "change": paired_changes(networks[setting].scores, fit.scores, groups, *bootstrap),
        }
        for setting, fit in fits.items()
    }
    return {"starts": {name: numbers(bodies) for name, bodies in starts.items()}, "networks": pairs}
