"""Errors of offline fits: by start on a mirror, beside the networks on test images."""

import numpy as np
import pandas as pd
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.dictionary import posed_joints
from spinloop.evaluation.offline_fits import (
    FittedBodies,
    ScoredBodies,
    StartErrors,
    compare_starts,
    image_keypoints,
    rows_to_fit,
    start_errors,
    summarize_test_fits,
)
from spinloop.evaluation.protocols import find_joint_protocol, find_protocol
from spinloop.evaluation.scores import score_joints
from spinloop.joints import COMMON24, MODEL49

STATUSES = ("none", "converged", "rejected")


def _errors(values, has_fit, status):
    errors = {f"{when}_{name}": np.array(values, float) for when in ("initial", "final")
              for name in ("reprojection_px2", "pa_mpjpe_mm", "mpjpe_mm")}  # fmt: skip
    return StartErrors(**errors, has_fit=np.array(has_fit), status=np.array(status))


def test_errors_are_of_people_whom_every_start_fitted():
    starts = {
        "mean": _errors([10, 20, 90, 99], [True, True, True, False], [1, 1, 2, 0]),
        "lifted": _errors([6, 18, 95, 1], [True, True, False, True], [1, 1, 0, 1]),
    }
    summary = compare_starts(starts, STATUSES, ("rejected",), 0.95, 200, 0)
    found = summary["starts"]
    assert (summary["n"], summary["n_compared"], summary["first"]) == (4, 2, "mean")
    assert found["mean"]["final_pa_mpjpe_mm"]["mean"] == 15
    assert found["lifted"]["final_pa_mpjpe_mm"] == pytest.approx(
        {"mean": 12, "low": 6, "high": 18, "median": 12, "p95": 17.4}
    )
    assert found["mean"]["failed_percent"] == 25
    assert found["lifted"]["status"] == {"none": 1, "converged": 3, "rejected": 0}
    assert "change_pa_mpjpe_mm" not in found["mean"]
    assert found["lifted"]["change_pa_mpjpe_mm"] == pytest.approx({"mean": -3, "low": -4, "high": -2})


def test_a_perfect_fit_has_no_error_and_a_missing_one_no_number(golden):
    skeletons = {"neutral": JointsOnly(golden.body, "h36m17", torch.float64)}
    pose, betas = golden.pose.astype(float), golden.betas.astype(float)
    true = posed_joints(skeletons, pose, betas, ["neutral"] * 2)
    far = FittedBodies(pose + 0.3, betas, np.array([5.0, 6.0]))
    exact = FittedBodies(pose, betas, np.array([0.0, np.inf]))
    known, status = np.array([True, False]), np.array([1, 0])
    measured = start_errors(find_protocol("pw3d@1"), skeletons, true, far, exact, known, status)
    assert measured.final_pa_mpjpe_mm[0] == measured.final_mpjpe_mm[0] == 0
    assert np.isnan(measured.final_mpjpe_mm[1])
    assert np.isnan(measured.final_reprojection_px2[1])
    assert (measured.initial_mpjpe_mm > 10).all()
    np.testing.assert_array_equal(measured.initial_reprojection_px2, [5.0, 6.0])


def test_starts_that_fitted_nobody_in_common_cannot_be_compared():
    starts = {
        "mean": _errors([1, 2], [True, False], [1, 0]),
        "lifted": _errors([1, 2], [False, True], [0, 1]),
    }
    with pytest.raises(UserError, match=r"nobody has a fit from every start \(mean, lifted\)"):
        compare_starts(starts, STATUSES, ("rejected",), 0.95, 200, 0)


@pytest.fixture
def records():
    joints = np.zeros((3, len(COMMON24), 3), np.float32)
    joints[0, COMMON24.index("right_knee")] = (120.0, 80.0, 1.0)
    joints[1, :12] = (100.0, 100.0, 1.0)
    columns = {"id": list("abc"), "sequence": ["s", "s", "t"], "scale": [0.56, 1.0, 1.0]}
    centers = [np.array([100.0, 100.0])] * 3
    return pd.DataFrame({**columns, "center": centers, "keypoints": [joints[0], joints[1], None]})


def test_keypoints_are_those_of_the_crop_and_none_where_none_are_annotated(records):
    keypoints = image_keypoints(records).numpy()
    knee = MODEL49.index("right_knee")
    np.testing.assert_allclose(keypoints[0, knee], [112 + 2 * 20, 112 - 2 * 20, 1.0])
    assert keypoints[0, :, 2].sum() == 1
    assert not keypoints[2, :, 2].any()


def test_people_with_too_few_joints_that_count_are_not_fitted(records):
    # Of the twelve limb joints a fit leaves out the hips.
    assert rows_to_fit(image_keypoints(records), 10).tolist() == [1]
    assert rows_to_fit(image_keypoints(records), 11).tolist() == []


def test_the_change_is_that_of_each_person(people):
    predicted, annotated = people
    protocol = find_joint_protocol("h36m_p1@1")
    groups = np.array(["s", "t"] * 20)
    network = score_joints(protocol, predicted, annotated)
    fitted = score_joints(protocol, 0.5 * (predicted - predicted[:, :1]) + 0.5 * annotated, annotated)
    before, after = ScoredBodies(network, 20.0), ScoredBodies(fitted, 4.0)
    summary = summarize_test_fits({"a": before}, {"a": after}, {"mean": before}, groups, 0.95, 100, seed=0)
    found = summary["networks"]["a"]
    expected = (fitted.values["pa_mpjpe_mm"] - network.values["pa_mpjpe_mm"]).mean()
    assert found["change"]["pa_mpjpe_mm"] == pytest.approx(expected)
    assert found["network"] == summary["starts"]["mean"]
    assert found["fit"]["reprojection_px2"] == 4.0
    change = [found["change"][f"mpjpe_mm{end}"] for end in ("_low", "", "_high")]
    assert change == sorted(change)
