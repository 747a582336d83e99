"""The objective against the official functions' numbers (reference notes, sec. 11.4 and 11.5)."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.objective import (
    PosePrior,
    Torso,
    angle_prior,
    reprojection,
    robust,
    robust_share,
    shape_prior,
    summed_reprojection,
    torso,
    torso_objective,
)
from spinloop.geometry.camera import usable_keypoints
from spinloop.joints import FIT_IGNORED, MODEL49
from spinloop.motion.mixture import Mixture


@pytest.fixture(scope="module")
def shared_case():
    """The random case of sec. 11.4: joints, translation, keypoints, body pose, betas."""
    rng = np.random.RandomState(0)
    joints, translation = 0.3 * rng.randn(49, 3), np.array([0.1, -0.05, 40.0])
    moved = joints + translation
    pixels = 5000 * moved[:, :2] / moved[:, 2:] + 112 + rng.randn(49, 2)
    keypoints = np.concatenate([pixels, rng.rand(49, 1)], axis=1)
    body_pose = np.zeros(69)
    body_pose[[52, 55, 9, 12]] = 0.5, -0.3, 0.2, -0.1
    arrays = (joints, translation, keypoints, body_pose, np.linspace(-1, 1, 10))
    return tuple(torch.tensor(array)[None] for array in arrays)


def test_robust_function_has_the_official_values():
    errors = torch.tensor([0.0, 1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 0.99990, 99.00990, 5000.0, 9900.990], dtype=torch.float64)
    torch.testing.assert_close(robust(errors, 100.0), expected, atol=1e-5, rtol=1e-6)


def test_both_forms_of_the_robust_function_agree():
    errors, weight = torch.linspace(-500, 500, 98).double().view(1, 49, 2), torch.rand(1, 49, 1).double()
    keypoints = torch.cat([torch.zeros_like(errors), weight.sqrt()], dim=-1)
    expected = reprojection(errors, keypoints, 100.0).sum(-1)
    torch.testing.assert_close(summed_reprojection(errors, robust_share(errors, 100.0), weight), expected)


def test_angle_prior_has_the_official_values(shared_case):
    expected = torch.tensor([[2.718282, 1.822119, 0.670320, 1.221403]], dtype=torch.float64)
    torch.testing.assert_close(angle_prior(shared_case[3]), expected, atol=1e-6, rtol=0)


def test_total_without_the_mixture_equals_the_official_total(shared_case):
    joints, translation, keypoints, body_pose, betas = shared_case
    moved = joints + translation[:, None]
    pixels = 5000 * moved[..., :2] / moved[..., 2:] + 112
    data = reprojection(pixels, usable_keypoints(keypoints), 100.0)  # the official number counts all 49
    assert data.sum().item() == pytest.approx(28.58205, abs=1e-4)
    assert data.mean().item() == pytest.approx(0.583307, abs=1e-5)
    total = data.sum() + 15.2**2 * angle_prior(body_pose).sum() + 25 * shape_prior(betas).sum()
    assert total.item() == pytest.approx(1616.5115, abs=1e-3)


def test_torso_objective_equals_the_official_camera_loss(shared_case):
    joints, translation, keypoints, _, _ = shared_case
    depth = translation[:, 2] + 0.1
    whole = torso_objective(torso(joints, keypoints), translation, depth, 100.0)
    # The official numbers were made in float32, in which a depth of 40.1 m is off by 1.5e-6 m.
    assert whole.item() == pytest.approx(108.51921, abs=5e-3)
    # Without one OpenPose hip the annotated torso is taken.
    hidden = keypoints.clone()
    hidden[:, [9, 12], 2] = 0
    assert torso_objective(torso(joints, hidden), translation, depth, 100.0).item() == pytest.approx(
        103.38061, abs=5e-3
    )


def test_a_torso_joint_that_is_not_seen_does_not_count(shared_case):
    joints, _, keypoints, _, _ = shared_case
    hidden = keypoints.clone()
    hidden[:, MODEL49.index("op_left_hip"), 2] = 0
    hidden[:, MODEL49.index("right_shoulder")] = torch.tensor([-999.0, 5.0, 0.0])
    seen = torso(joints, hidden)
    assert seen.keypoints[0, :, 2].tolist() == [1, 1, 0, 1]
    elsewhere = Torso(seen.joints, seen.keypoints.clone())
    elsewhere.keypoints[:, 2, :2] += 50
    place, depth = torch.tensor([[0.0, 0.0, 40.0]]).double(), torch.tensor([40.0]).double()
    assert torch.equal(
        torso_objective(seen, place, depth, 1.0), torso_objective(elsewhere, place, depth, 1.0)
    )


def test_mixture_prior_equals_the_official_values(golden, prior):
    energy = PosePrior(prior).energy(torch.tensor(golden.pose[:, 3:]))
    torch.testing.assert_close(energy, torch.tensor([72.336121, 71.722496]), atol=1e-3, rtol=0)
    at_mean = PosePrior(prior).energies(torch.tensor(np.float32(golden.means[:1])))[0, 0]
    assert at_mean.item() == pytest.approx(67.028091, abs=1e-3)


def test_nearest_component_gives_value_and_gradient_of_the_prior(golden, prior):
    model = PosePrior(prior, torch.float64)
    pose = torch.tensor(golden.pose[:, 3:]).double().requires_grad_(True)
    model.energy(pose).sum().backward()
    nearest = model.nearest(pose.detach())
    torch.testing.assert_close(nearest.gradient, pose.grad)
    torch.testing.assert_close(nearest.energy, model.energies(pose.detach()).amin(1))


def test_a_mixture_with_tiny_variances_has_finite_energies():
    # Their determinants underflow in float64, which turns the published formula into 0/0.

    mixture = Mixture(
        np.zeros((2, 69)), np.stack([1e-6 * np.eye(69), 1e-5 * np.eye(69)]), np.array([0.5, 0.5])
    )
    assert torch.isfinite(PosePrior(mixture).energies(torch.zeros(1, 69))).all()


def test_fitting_loss_equals_the_official_one(fitter, start, keypoints):
    loss = fitter.reprojection(start, keypoints).mean(-1)
    torch.testing.assert_close(loss, torch.tensor([53.7504, 26.7939]), atol=1e-3, rtol=0)


def test_terms_add_up_and_leave_the_keypoints_untouched(fitter, start, keypoints):
    given = keypoints.clone()
    terms = fitter.terms(start, keypoints)
    torch.testing.assert_close(
        terms.total, terms.reprojection.sum(-1) + terms.pose + terms.angle + terms.shape
    )
    assert (terms.reprojection[:, list(FIT_IGNORED)] == 0).all()
    assert torch.equal(given, keypoints)


def test_keypoints_that_are_not_numbers_do_not_count(fitter, truth, keypoints):
    broken, hidden = keypoints.clone(), keypoints.clone()
    broken[0, 30] = torch.tensor([float("nan"), 5.0, 1.0])
    broken[0, 31] = torch.tensor([5.0, float("inf"), 1.0])
    broken[0, 32] = torch.tensor([5.0, 5.0, -1.0])
    hidden[0, 30:33, 2] = 0
    assert torch.equal(fitter.reprojection(truth, broken), fitter.reprojection(truth, hidden))
    assert (usable_keypoints(broken)[0, 30:33] == 0).all()


def test_reprojection_of_one_person_does_not_depend_on_another(fitter, truth, keypoints):
    lost = BodyState(truth.pose.clone(), truth.betas, truth.translation)
    lost.pose[0, 0] = float("nan")
    assert torch.equal(fitter.reprojection(lost, keypoints)[1], fitter.reprojection(truth, keypoints)[1])
