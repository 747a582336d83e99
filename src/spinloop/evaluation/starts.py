"""Ways to start the offline fits, compared on the same people of a mirror."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.fits import posed_joints
from spinloop.evaluation.meshes import NEUTRAL
from spinloop.evaluation.protocols import Protocol
from spinloop.evaluation.scores import joint_errors


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
