"""The golden case and small fits on its body."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.geometry.camera import project
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FitStage, FittingParams, MeanStartParams, StageWeights


@pytest.fixture(scope="session")
def params() -> FittingParams:
    """The objective of the published code, with the solver's defaults."""
    weights = StageWeights(pose=4.78, angle=15.2, shape=5.0)
    stages = [
        FitStage(pose=404.0, angle=1280.68, shape=100.0, n_iterations=10),
        FitStage(pose=57.4, angle=181.958, shape=10.0, n_iterations=10),
        FitStage(pose=4.78, angle=15.2, shape=5.0, n_iterations=10),
    ]
    start = MeanStartParams(
        n_camera_iterations=10, damping=0.1, stages=stages, n_stages_both_ways=2, side_view_px=25.0
    )
    return FittingParams(
        solver="lm",
        n_iterations=5,
        camera="free",
        sigma_px=100.0,
        weights=weights,
        depth_weight=100.0,
        damping=1e-3,
        tolerance=1e-4,
        step_size=1e-2,
        anchor="none",
        anchor_weight=0.0,
        anchor_noise_px=3.0,
        chunk_size=64,
        mean_start=start,
    )


@pytest.fixture(scope="session")
def prior(golden) -> Mixture:
    """The golden case's mixture."""
    return Mixture(golden.means, golden.covars, golden.weights)


@pytest.fixture(scope="session")
def fitter(golden, prior, params) -> Fitter:
    """A fitter of the golden body."""
    return Fitter(golden.body, prior, params)


@pytest.fixture(scope="session")
def truth(golden) -> BodyState:
    """The two people of the golden case where they stand."""
    translation = torch.tensor([[0.05, -0.05, 45.0], [-0.1, 0.1, 50.0]])
    return BodyState(torch.tensor(golden.pose), torch.tensor(golden.betas), translation)


@pytest.fixture(scope="session")
def keypoints(golden, fitter, truth) -> torch.Tensor:
    """Their noisy keypoints."""
    pixels = project(fitter.joints(truth), truth.translation) + torch.tensor(golden.keypoint_noise)
    return torch.cat([pixels, torch.tensor(golden.confidence)], dim=-1).float()


@pytest.fixture(scope="session")
def start(golden, truth) -> BodyState:
    """Where the golden case's fit starts."""
    shift = torch.tensor([[0.02, 0.01, 1.0], [-0.02, 0.0, -1.0]])
    pose = torch.tensor(np.float32(golden.pose + golden.pose_noise))
    return BodyState(pose, torch.zeros(2, 10), truth.translation + shift)


@pytest.fixture(scope="session")
def crowd(golden, fitter) -> tuple[BodyState, torch.Tensor]:
    """Twelve people of the golden body and keypoints of them: starts near the truth, some joints unseen."""
    rng = np.random.default_rng(7)
    pose = torch.tensor(rng.normal(0, 0.2, (12, 72)), dtype=torch.float32)
    betas = torch.tensor(rng.normal(0, 0.5, (12, 10)), dtype=torch.float32)
    translation = torch.tensor(rng.normal((0, 0, 50), (0.1, 0.1, 2), (12, 3)), dtype=torch.float32)
    people = BodyState(pose, betas, translation)
    pixels = project(fitter.joints(people), translation)
    pixels = pixels + torch.tensor(rng.normal(0, 2, (12, 49, 2)), dtype=torch.float32)
    confidence = torch.tensor(rng.uniform(0.2, 1, (12, 49, 1)) * (rng.random((12, 49, 1)) > 0.2))
    begin = people._replace(pose=pose + torch.tensor(rng.normal(0, 0.1, (12, 72)), dtype=torch.float32))
    return begin, torch.cat([pixels, confidence.float()], dim=-1)
