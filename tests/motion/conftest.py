import numpy as np
import pytest

from spinloop.motion.clips import Clip
from spinloop.motion.mixture import Mixture


@pytest.fixture
def small_mixture():
    """Three well-separated Gaussians in the 69 angles."""
    rng = np.random.default_rng(0)
    factors = 0.03 * rng.normal(size=(3, 69, 69))
    covars = factors @ factors.transpose(0, 2, 1) + 0.01 * np.eye(69)
    return Mixture(0.2 * rng.normal(size=(3, 69)), covars, np.array([0.5, 0.3, 0.2]))


@pytest.fixture
def clips():
    """Forty recordings of two kinds; a third of them lack spine2, and only two have hands."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(40):
        poses = np.zeros((int(rng.integers(30, 90)), 72))
        poses[:, :66] = 0.1 * rng.normal(size=66) * (number % 2) + 0.1 * rng.normal(size=(len(poses), 66))
        poses[:, 18:21] = poses[:, 9:12] + 0.02 * rng.normal(size=(len(poses), 3))
        if number % 3 == 0:
            poses[:, 18:21] = 0
        if number < 2:
            poses[:, 66:] = 0.5
        made.append(Clip(f"clip_{number:02d}", 30.0, poses))
    return made
