import math

import pytest
import torch

from spinloop.joints import COMMON24
from spinloop.training import losses


def test_2d_term_counts_annotated_joints_and_keeps_detected_ones_in_the_mean():
    """By hand: one annotated joint off by (0.3, 0.4) at confidence 0.5, one detected joint far off."""
    predicted = torch.zeros(1, 49, 2)
    keypoints = torch.zeros(1, 49, 3)
    keypoints[0, 30] = torch.tensor([0.3, 0.4, 0.5])
    keypoints[0, 3] = torch.tensor([9.0, 9.0, 1.0])
    values = losses.keypoints_2d(predicted, keypoints, openpose_weight=0.0)
    assert values.mean().item() == pytest.approx(0.5 * 0.25 / 98)
    counted = losses.keypoints_2d(predicted, keypoints, openpose_weight=1.0)
    assert counted.mean().item() == pytest.approx((0.5 * 0.25 + 162) / 98, rel=1e-6)


def test_3d_term_sees_joints_from_the_middle_of_the_hips():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(2, 49, 3, generator=generator)
    annotated = torch.cat([predicted[:, 25:], torch.ones(2, 24, 1)], -1)
    moved = annotated + torch.tensor([5.0, -3.0, 2.0, 0.0])
    assert losses.keypoints_3d(predicted, moved).abs().max() < 1e-10
    # A hip that moves by 2 moves the middle by 1: it is off by 1 itself, and so is everybody else.
    hip = COMMON24.index("left_hip")
    annotated[0, hip, 0] += 2.0
    assert losses.keypoints_3d(predicted, annotated)[0, :, 0].tolist() == pytest.approx([1.0] * 24, abs=1e-5)
    annotated[0, :, 3] = 0
    assert not losses.keypoints_3d(predicted, annotated)[0].any()


@pytest.mark.parametrize(("scale", "value"), [(0.0, 1.0), (0.1, 0.135335), (0.9, math.exp(-18))])
def test_camera_term_matches_the_golden_numbers(scale, value):
    """SPIN_FACTS 11.1."""
    camera = torch.tensor([[scale, 3.0, -3.0]])
    assert losses.positive_camera(camera).item() == pytest.approx(value, rel=1e-4)


def test_mean_is_over_chosen_samples_only():
    values = torch.tensor([[1.0, 3.0], [10.0, 20.0], [5.0, 7.0]])
    assert losses.mean_over(values, torch.tensor([True, False, True])).item() == 4.0
    assert losses.mean_over(values[..., None], torch.tensor([False, True, False])).item() == 15.0


def test_mean_over_nobody_is_zero_with_a_zero_gradient():
    values = torch.tensor([[1.0], [2.0]], requires_grad=True)
    mean = losses.mean_over(values, torch.tensor([False, False]))
    mean.backward()
    assert mean.item() == 0
    assert values.grad is not None
    assert not values.grad.any()
