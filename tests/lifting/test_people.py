"""The people and keypoints that the lifter learns from."""

import numpy as np
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.geometry.camera import project
from spinloop.joints import MODEL49, N_OPENPOSE
from spinloop.keypoints.noise import sample_keypoints
from spinloop.lifting.training import sample_people
from spinloop.params.mirror import Range


def _keypoints(pixels, params, rng):
    return torch.from_numpy(sample_keypoints(pixels.numpy(), params, rng)).float()


@pytest.fixture(scope="module")
def skeleton(golden) -> JointsOnly:
    return JointsOnly(golden.body)


@pytest.fixture(scope="module")
def seen(skeleton, still, lifter_params):
    return sample_people(skeleton, still, lifter_params.people, 300, np.random.default_rng(0))


def test_a_far_camera_is_the_crops_own(skeleton, still, lifter_params):
    far = lifter_params.people.model_copy(update={"distance_m": Range(low=500.0, high=500.0)})
    people = sample_people(skeleton, still, far, 20, np.random.default_rng(0))
    # The crop's 5000 px camera stands some 50 m away; that little perspective is all that is left.
    error = (project(people.joints, people.state.translation) - people.pixels).norm(dim=-1)
    assert error.max() < 3.0
    assert error.mean() < 0.6


def test_people_fill_the_crop(seen):
    extent = (seen.pixels.amax(1) - seen.pixels.amin(1)).amax(-1)
    torch.testing.assert_close(extent, torch.full_like(extent, 224 / 1.2))


def test_people_stand_upright_in_the_image_and_face_every_direction(seen):
    """The body's own up (y) points up in the image (−y) for all but the rolled ones; the facing is even."""
    from spinloop.geometry.rotations import axis_angle_to_matrix

    root = axis_angle_to_matrix(seen.state.pose[:, :3])
    up, ahead = root[:, :, 1], root[:, :, 2]
    assert (up[:, 1] < -0.5).float().mean() > 0.9
    assert 0.4 < (ahead[:, 2] < 0).float().mean() < 0.6


def test_kinds_of_people_come_in_their_shares(seen, lifter_params):
    keypoints = _keypoints(seen.pixels, lifter_params.keypoints, np.random.default_rng(1))
    has_openpose = (keypoints[:, :N_OPENPOSE, 2] > 0).any(1)
    has_annotated = (keypoints[:, N_OPENPOSE:, 2] > 0).any(1)
    assert (has_openpose & ~has_annotated).float().mean() == pytest.approx(0.3, abs=0.1)
    assert (has_annotated & ~has_openpose).float().mean() == pytest.approx(0.3, abs=0.1)
    score = keypoints[:, N_OPENPOSE:, 2]
    assert set(score.unique().tolist()) <= {0.0, 1.0}
    assert (keypoints[keypoints[..., 2] == 0] == 0).all()


def test_a_perfect_detector_reports_the_truth(seen, lifter_params):
    nothing = dict.fromkeys(
        ("outlier", "swap", "only_openpose", "only_annotated", "miss", "lost_limb", "cut_off"), 0.0
    )
    perfect = lifter_params.keypoints.model_copy(update={**nothing, "noise_px": Range(low=0.0, high=0.0)})
    keypoints = _keypoints(seen.pixels, perfect, np.random.default_rng(1))
    known = keypoints[..., 2] > 0
    assert known[:, :N_OPENPOSE].all()
    torch.testing.assert_close(keypoints[known][:, :2], seen.pixels[known], atol=1e-4, rtol=0)


def test_swapped_arms_change_sides_and_nothing_else(seen, lifter_params):
    nothing = dict.fromkeys(
        ("outlier", "only_openpose", "only_annotated", "miss", "lost_limb", "cut_off"), 0.0
    )
    exact = {**nothing, "noise_px": Range(low=0.0, high=0.0), "swap": 1.0}
    keypoints = _keypoints(
        seen.pixels, lifter_params.keypoints.model_copy(update=exact), np.random.default_rng(1)
    )
    left, right = MODEL49.index("op_left_wrist"), MODEL49.index("op_right_wrist")
    torch.testing.assert_close(keypoints[:, left, :2], seen.pixels[:, right], atol=1e-4, rtol=0)
    nose = MODEL49.index("op_nose")
    torch.testing.assert_close(keypoints[:, nose, :2], seen.pixels[:, nose], atol=1e-4, rtol=0)


def test_whole_limbs_are_lost_and_borders_cut(seen, lifter_params):
    nothing = dict.fromkeys(("outlier", "swap", "only_openpose", "only_annotated", "miss", "cut_off"), 0.0)
    lost = lifter_params.keypoints.model_copy(update={**nothing, "lost_limb": 0.5})
    keypoints = _keypoints(seen.pixels, lost, np.random.default_rng(1))
    arm = [MODEL49.index(f"op_left_{name}") for name in ("shoulder", "elbow", "wrist")]
    known = keypoints[:, arm, 2] > 0
    assert (known.all(1) | ~known.any(1)).all()
    assert 0.4 < known.all(1).float().mean() < 0.6
    cut = lifter_params.keypoints.model_copy(update={**nothing, "lost_limb": 0.0, "cut_off": 1.0})
    gone = _keypoints(seen.pixels, cut, np.random.default_rng(1))[:, :N_OPENPOSE, 2] == 0
    assert gone.any(1).float().mean() > 0.9
    assert not gone.all(1).any()
