"""Starts of fits compared: over the same people, with failures counted over all."""

import numpy as np
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.dictionary import posed_joints
from spinloop.evaluation.offline_fits import Attempt, Bodies, compare_starts, measure_attempt
from spinloop.evaluation.protocols import find_protocol

STATUSES = ("none", "converged", "rejected")


def _attempt(errors, has_fit, status):
    values = {f"{when}_{name}": np.array(errors, float) for when in ("initial", "final")
              for name in ("reprojection_px2", "pa_mpjpe_mm", "mpjpe_mm")}  # fmt: skip
    return Attempt(**values, has_fit=np.array(has_fit), status=np.array(status))


def test_errors_are_of_people_whom_every_start_fitted():
    attempts = {
        "mean": _attempt([10, 20, 90, 99], [True, True, True, False], [1, 1, 2, 0]),
        "lifted": _attempt([6, 18, 95, 1], [True, True, False, True], [1, 1, 0, 1]),
    }
    summary = compare_starts(attempts, STATUSES, ("rejected",), 0.95, 200, 0)
    starts = summary["starts"]
    assert (summary["n"], summary["n_compared"], summary["first"]) == (4, 2, "mean")
    assert starts["mean"]["final_pa_mpjpe_mm"]["mean"] == 15
    assert starts["lifted"]["final_pa_mpjpe_mm"] == pytest.approx(
        {"mean": 12, "low": 6, "high": 18, "median": 12, "p95": 17.4}
    )
    assert starts["mean"]["failed_percent"] == 25
    assert starts["lifted"]["status"] == {"none": 1, "converged": 3, "rejected": 0}
    assert "change_pa_mpjpe_mm" not in starts["mean"]
    assert starts["lifted"]["change_pa_mpjpe_mm"] == pytest.approx({"mean": -3, "low": -4, "high": -2})


def test_a_perfect_fit_has_no_error_and_a_missing_one_no_number(golden):
    models = {"neutral": JointsOnly(golden.body, "h36m17", torch.float64)}
    pose, betas = golden.pose.astype(float), golden.betas.astype(float)
    true = posed_joints(models, pose, betas, ["neutral"] * 2)
    far = Bodies(pose + 0.3, betas, np.array([5.0, 6.0]))
    exact = Bodies(pose, betas, np.array([0.0, np.inf]))
    known, status = np.array([True, False]), np.array([1, 0])
    attempt = measure_attempt(find_protocol("pw3d@1"), models, true, far, exact, known, status)
    assert attempt.final_pa_mpjpe_mm[0] == attempt.final_mpjpe_mm[0] == 0
    assert np.isnan(attempt.final_mpjpe_mm[1])
    assert np.isnan(attempt.final_reprojection_px2[1])
    assert (attempt.initial_mpjpe_mm > 10).all()
    np.testing.assert_array_equal(attempt.initial_reprojection_px2, [5.0, 6.0])


def test_starts_that_fitted_nobody_in_common_cannot_be_compared():
    attempts = {
        "mean": _attempt([1, 2], [True, False], [1, 0]),
        "lifted": _attempt([1, 2], [False, True], [0, 1]),
    }
    with pytest.raises(UserError, match=r"nobody has a fit from every start \(mean, lifted\)"):
        compare_starts(attempts, STATUSES, ("rejected",), 0.95, 200, 0)
