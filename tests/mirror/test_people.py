from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinloop.mirror.people import interpolate_motion, sample_motion
from spinloop.motion.mixture import load_mixture
from spinloop.params.mirror import PeopleParams

PEOPLE = PeopleParams(
    betas_std=1.0, betas_limit=2.0, facing_std_deg=40.0, any_direction=0.5, tilt_std_deg=5.0
)


@pytest.fixture(scope="module")
def poses():
    return np.random.default_rng(0).normal(0, 0.4, (4, 69))


def test_motion_leads_through_the_poses(poses):
    states = interpolate_motion(np.random.default_rng(1), poses, 10, np.array([0.3, -0.2]), PEOPLE)
    assert len(states) == 10
    for number, pose in zip((0, 3, 6, 9), poses, strict=True):
        np.testing.assert_allclose(states[number].body, pose, atol=1e-9)
    np.testing.assert_array_equal(states[0].place, [0.3, -0.2])


def test_no_joint_jumps_between_frames(poses):
    states = interpolate_motion(np.random.default_rng(1), poses, 31, np.zeros(2), PEOPLE)
    for before, after in pairwise(states):
        rotation = Rotation.from_rotvec(before.body.reshape(23, 3)).inv() * Rotation.from_rotvec(
            after.body.reshape(23, 3)
        )
        assert rotation.magnitude().max() < 0.4
        assert np.linalg.norm(after.place - before.place) < 0.13


def test_bodies_stay_upright(poses):
    for seed in range(10):
        states = interpolate_motion(np.random.default_rng(seed), poses, 8, np.zeros(2), PEOPLE)
        up = np.array([state.root.apply([0.0, 1.0, 0.0]) for state in states])
        assert up[:, 1].min() > np.cos(np.deg2rad(30))


def test_nobody_walks_further_than_the_radius(repository):
    mixture = load_mixture(repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz")
    free, near = (
        sample_motion(np.random.default_rng(1), mixture, 80, 20, PEOPLE, radius_m=radius)
        for radius in (np.inf, 0.2)
    )
    distances = [np.linalg.norm([state.place for state in states], axis=1) for states in (free, near)]
    assert distances[0].max() > 0.3
    assert distances[1].max() <= 0.2 + 1e-12
    np.testing.assert_allclose(distances[1], np.minimum(distances[0], 0.2), atol=1e-12)
