"""Ways to start the offline fits, compared on the same people of a mirror.

Fits to the keypoints of test images, measured as the network's own predictions are.

The fit starts from a network's prediction, as in the loop, from the mean pose, as the original SMPLify does,
or from the 2D joints lifted to 3D. All see the annotated 2D joints of the image, which the network does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Integer, Shaped
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.dictionary import posed_joints
from spinloop.evaluation.predict import Predictions, paired_changes
from spinloop.evaluation.protocols import Protocol
from spinloop.evaluation.scores import MaskScores, Scores, intervals, joint_errors
from spinloop.evaluation.truth import NEUTRAL, batches, rows_of
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.offline import keypoint_batches
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.starts import STARTS, FittingSetup, Start, start_from, start_named
from spinloop.geometry.camera import camera_to_translation, translation_to_camera
from spinloop.geometry.crop import crop_keypoints
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from spinloop.joints import COMMON24, MODEL49
from spinloop.tables.fits import FitStore
from spinloop.tables.records import column_array
from spinloop.tables.table import count_rows


class Bodies(NamedTuple):
    """Bodies of the neutral model, and how well they reproject."""

    pose: Float[np.ndarray, "N 72"]
    betas: Float[np.ndarray, "N 10"]
    reprojection_px2: Float[np.ndarray, " N"]
    """Robust, mean over the 49 joints, with the translation that suits best."""


class Attempt(NamedTuple):
    """What one start gave for each person: before the fit (`initial`) and after it (`final`)."""

    initial_reprojection_px2: Float[np.ndarray, " N"]
    """Robust, mean over the 49 joints, with the translation that suits best."""
    final_reprojection_px2: Float[np.ndarray, " N"]
    """The same of the fit."""
    initial_pa_mpjpe_mm: Float[np.ndarray, " N"]
    final_pa_mpjpe_mm: Float[np.ndarray, " N"]
    initial_mpjpe_mm: Float[np.ndarray, " N"]
    final_mpjpe_mm: Float[np.ndarray, " N"]
    has_fit: Bool[np.ndarray, " N"]
    """Where there is none, the final errors are not numbers."""
    status: Integer[np.ndarray, " N"]
    """Positions in the list of statuses."""


def measure_attempt(
    protocol: Protocol,
    models: Mapping[str, JointsOnly],
    true_joints: Float[np.ndarray, "N 17 3"],
    begun: Bodies,
    fitted: Bodies,
    has_fit: Bool[np.ndarray, " N"],
    status: Integer[np.ndarray, " N"],
) -> Attempt:
    """Errors before and after the fits, per person.

    Args:
        protocol: whose joints and root are used.
        models: see `fits.posed_joints`.
        true_joints: of the same people.
        begun: where the fits began.
        fitted: where they ended.
        has_fit: who has one.
        status: see `Attempt`.
    """
    errors: dict[str, np.ndarray] = {}
    for when, bodies in (("initial", begun), ("final", fitted)):
        joints = posed_joints(models, bodies.pose, bodies.betas, [NEUTRAL] * len(bodies.pose))
        direct, aligned = (each.mean(-1) for each in joint_errors(protocol, joints, true_joints))
        known = has_fit | (when == "initial")
        errors[f"{when}_reprojection_px2"] = np.where(known, bodies.reprojection_px2, np.nan)
        errors[f"{when}_pa_mpjpe_mm"] = np.where(known, aligned, np.nan)
        errors[f"{when}_mpjpe_mm"] = np.where(known, direct, np.nan)
    return Attempt(**errors, has_fit=has_fit, status=status)


def compare_starts(
    attempts: Mapping[str, Attempt],
    statuses: Sequence[str],
    failures: Sequence[str],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Means, medians and 95th percentiles of each start, its failures, and the change from the first start.

    Intervals are given for the means of the final 3D errors and of the change.

    Errors are over the people whom every start gave a fit; people are independent of each other.

    Args:
        attempts: by the name of the start, all of the same people in the same order.
        statuses: names of the statuses.
        failures: which of them are failures.
        confidence: of the interval of the change, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Raises:
        UserError: nobody has a fit from every start.
    """
    everyone = np.logical_and.reduce([attempt.has_fit for attempt in attempts.values()])
    if not everyone.any():
        raise UserError(f"fits: nobody has a fit from every start ({', '.join(attempts)}); fit again")

    def interval(values: Float[np.ndarray, " N"]) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        return mean_interval(values, np.arange(len(values)), confidence, n_resamples, rng)._asdict()

    failing = [statuses.index(name) for name in failures]
    (first_name, first), starts = next(iter(attempts.items())), dict[str, Any]()
    for name, attempt in attempts.items():
        found: dict[str, Any] = {
            "failed_percent": 100 * float(np.isin(attempt.status, failing).mean()),
            "status": {word: int((attempt.status == code).sum()) for code, word in enumerate(statuses)},
        }
        for key, values in attempt._asdict().items():
            if key.endswith(("_px2", "_mm")):
                chosen = values[everyone]
                median, p95 = np.quantile(chosen, [0.5, 0.95]).tolist()
                has_interval = key.startswith("final_") and key.endswith("_mm")
                mean = interval(chosen) if has_interval else {"mean": float(chosen.mean())}
                found[key] = {**mean, "median": median, "p95": p95}
        if attempt is not first:
            change = attempt.final_pa_mpjpe_mm - first.final_pa_mpjpe_mm
            found["change_pa_mpjpe_mm"] = interval(change[everyone])
        starts[name] = found
    numbers = {"n": len(everyone), "n_compared": int(everyone.sum()), "confidence": confidence}
    return {**numbers, "first": first_name, "starts": starts}


def image_keypoints(records: pd.DataFrame) -> Float[Tensor, "N 49 3"]:
    """Annotated 2D joints of people as a fit takes them: px of each person's 224 px crop, and confidence.

    Joints that are not annotated have confidence 0; so has everybody in a table without 2D joints.
    """
    annotated = np.nan_to_num(column_array(records, "keypoints").astype(np.float64))
    keypoints = np.zeros((len(records), len(MODEL49), 3))
    keypoints[:, -len(COMMON24) :] = annotated
    centers = np.array(records["center"].tolist(), dtype=np.float64).reshape(-1, 2)
    moved = crop_keypoints(keypoints, centers, records["scale"].to_numpy(dtype=np.float64))
    return torch.from_numpy(moved.astype(np.float32))


def rows_to_fit(keypoints: Float[Tensor, "N 49 3"], min_joints: int) -> Int[np.ndarray, " M"]:
    """People with enough joints that count in a fit."""
    seen = (fitted_keypoints(keypoints)[..., 2] > 0).sum(-1)
    return np.flatnonzero(seen.numpy() >= min_joints)


def take(predictions: Predictions, rows: Int[np.ndarray, " M"]) -> Predictions:
    """Some of the people."""
    ids = [predictions.ids[row] for row in rows]
    return Predictions(ids, *(array[rows] for array in predictions[1:]))


def as_state(predictions: Predictions) -> BodyState:
    """Predictions as the start of a fit."""
    rotations, betas, camera = (
        torch.from_numpy(array) for array in (predictions.rotations, predictions.betas, predictions.camera)
    )
    return BodyState(matrix_to_axis_angle(rotations).flatten(1), betas, camera_to_translation(camera))


@torch.no_grad()
def as_predictions(ids: list[str], state: BodyState, body: BodyModel, batch_size: int) -> Predictions:
    """Fits in the form of predictions, so that the same protocols measure them."""
    rotations = axis_angle_to_matrix(state.pose.unflatten(1, (24, 3)))
    joints = [
        body.regress_h36m(body.vertices(rotations[part], state.betas[part]))
        for part in batches(len(ids), batch_size)
    ]
    tensors = (rotations, state.betas, translation_to_camera(state.translation), torch.cat(joints))
    return Predictions(ids, *(tensor.numpy() for tensor in tensors))


def reprojection(fitter: Fitter, predictions: Predictions, keypoints: Float[Tensor, "N 49 3"]) -> float:
    """Mean robust reprojection error, px², each body where it reprojects best."""
    placed = fitter.place(as_state(predictions), keypoints)
    return float(fitter.reprojection(placed, keypoints).mean())


class Way(NamedTuple):
    """What one way to find bodies gave for some people."""

    scores: Scores | MaskScores
    reprojection_px2: float
    """See `reprojection`."""


def summarize_refits(
    networks: Mapping[str, Way],
    fits: Mapping[str, Way],
    starts: Mapping[str, Way],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Each way's metrics over the same people, and the change from each network to the fit that starts there.

    Args:
        networks: setting → what its network predicted.
        fits: setting → the fits that start at the network's predictions.
        starts: name of another start → the fits from there.
        groups: which people are resampled together.
        confidence: of the intervals, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Returns:
        `starts`: name → metrics; `networks`: setting → `network`, `fit` and `change` (fit minus network,
        person by person) → metrics; each metric with `_low` and `_high`.
    """
    bootstrap = (confidence, n_resamples, seed)

    def numbers(way: Way) -> dict[str, float]:
        return intervals(way.scores, groups, *bootstrap) | {"reprojection_px2": way.reprojection_px2}

    pairs = {
        setting: {
            "network": numbers(networks[setting]),
            "fit": numbers(fit),
            "change": paired_changes(networks[setting].scores, fit.scores, groups, *bootstrap),
        }
        for setting, fit in fits.items()
    }
    return {"starts": {name: numbers(way) for name, way in starts.items()}, "networks": pairs}


def initial_bodies(start: Start, keypoints: Path, store: FitStore, batch_size: int) -> Bodies:
    """The bodies that the fits started from, in the order of the store."""
    n = count_rows(keypoints, "make it with `spinloop merge`")
    ids, parts = [], []
    for batch in keypoint_batches(keypoints, range(n), batch_size):
        placed = start.fitter.place(start.estimate(batch.keypoints), batch.keypoints)
        error = start.fitter.reprojection(placed, batch.keypoints).mean(-1)
        ids += batch.ids
        parts.append([part.numpy() for part in (placed.pose, placed.betas, error)])
    rows = rows_of(ids, store.ids, keypoints)
    return Bodies(*(np.concatenate(part)[rows] for part in zip(*parts, strict=True)))


def fits_from_each_start(
    networks: Mapping[str, Predictions], keypoints: Float[Tensor, "N 49 3"], setup: FittingSetup, lifter: Path
) -> Iterator[tuple[str, BodyState]]:
    """Name of each start and the fits from there; nothing where there is nobody to fit."""
    if not len(keypoints):
        return
    for start in STARTS:
        yield start, start_named(start, setup, lifter).fit(keypoints).state
    for setting, predicted in networks.items():
        yield f"network_{setting}", start_from(as_state(predicted), setup).fit(keypoints).state
