"""Fits in the form of predictions, and what is said of them."""

import numpy as np
import pandas as pd
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.evaluation.offline_fits import (
    Way,
    as_predictions,
    as_state,
    image_keypoints,
    rows_to_fit,
    summarize_refits,
    take,
)
from spinloop.evaluation.protocols import find_joint_protocol
from spinloop.evaluation.scores import score_joints
from spinloop.joints import COMMON24, MODEL49


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


def test_a_state_comes_back_from_its_predictions(bodies):
    generator = torch.Generator().manual_seed(0)
    state = BodyState(
        0.4 * torch.randn(4, 72, generator=generator),
        torch.randn(4, 10, generator=generator),
        torch.tensor([[0.1, -0.2, 40.0]]).repeat(4, 1),
    )
    predictions = as_predictions(list("abcd"), state, bodies["neutral"], batch_size=3)
    for before, after in zip(state, as_state(predictions), strict=True):
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    vertices = bodies["neutral"].vertices(state.pose, state.betas)
    joints = bodies["neutral"].regress_h36m(vertices)
    np.testing.assert_allclose(predictions.joints, joints.numpy(), atol=1e-5)
    assert take(predictions, np.array([2, 0])).ids == ["c", "a"]


def test_the_change_is_that_of_each_person(people):
    predicted, annotated = people
    protocol = find_joint_protocol("h36m_p1@1")
    groups = np.array(["s", "t"] * 20)
    network = score_joints(protocol, predicted, annotated)
    fitted = score_joints(protocol, 0.5 * (predicted - predicted[:, :1]) + 0.5 * annotated, annotated)
    ways = [Way(scores, pixels) for scores, pixels in ((network, 20.0), (fitted, 4.0))]
    summary = summarize_refits({"a": ways[0]}, {"a": ways[1]}, {"mean": ways[0]}, groups, 0.95, 100, seed=0)
    found = summary["networks"]["a"]
    expected = (fitted.values["pa_mpjpe_mm"] - network.values["pa_mpjpe_mm"]).mean()
    assert found["change"]["pa_mpjpe_mm"] == pytest.approx(expected)
    assert found["network"] == summary["starts"]["mean"]
    assert found["fit"]["reprojection_px2"] == 4.0
    change = [found["change"][f"mpjpe_mm{end}"] for end in ("_low", "", "_high")]
    assert change == sorted(change)
