"""A small lifter on the golden body."""

import copy

import numpy as np
import pytest

from spinloop.lifting.training import LifterTraining
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import (
    LifterKeypointsParams,
    LifterLossParams,
    LifterNetworkParams,
    LifterParams,
    LifterPeopleParams,
)
from spinloop.params.mirror import Range


@pytest.fixture(scope="session")
def lifter_params() -> LifterParams:
    """A training of a few seconds."""
    return LifterParams(
        seed=3,
        n_steps=40,
        batch_size=16,
        learning_rate=2e-3,
        checkpoint_every=10,
        n_held_out=64,
        stored_as="float32",
        network=LifterNetworkParams(width=32, n_blocks=1),
        people=LifterPeopleParams(
            seated=0.1,
            other_limbs=0.5,
            betas_std=0.5,
            betas_limit=1.0,
            lean_std_deg=5.0,
            elevation_std_deg=10.0,
            roll_std_deg=5.0,
            any_roll=0.1,
            distance_m=Range(low=4.0, high=40.0),
        ),
        keypoints=LifterKeypointsParams(
            noise_px=Range(low=1.0, high=4.0),
            loose_noise=3.0,
            outlier=0.02,
            swap=0.05,
            uneven_noise=0.5,
            midpoints=0.2,
            no_feet=0.2,
            only_openpose=0.3,
            only_annotated=0.3,
            miss=0.3,
            lost_limb=0.1,
            cut_off=0.2,
        ),
        loss=LifterLossParams(rotation=1.0, joints=2.0, shape=0.01, camera=1.0),
    )


@pytest.fixture(scope="session")
def still() -> Mixture:
    """Poses near the T-pose, plausible ones: elbows and knees hardly bend."""
    return Mixture(np.zeros((1, 69)), 0.03**2 * np.eye(69)[None], np.ones(1))


@pytest.fixture(scope="session")
def untouched(golden, still, lifter_params) -> LifterTraining:
    """A training before its first step; not to be changed."""
    return LifterTraining(golden.body, still, lifter_params)


@pytest.fixture
def training(untouched) -> LifterTraining:
    """The same training each time."""
    return copy.deepcopy(untouched)


@pytest.fixture(scope="session")
def learnt(untouched) -> LifterTraining:
    """A finished training; not to be changed."""
    training = copy.deepcopy(untouched)
    for _ in training.steps():
        pass
    return training
