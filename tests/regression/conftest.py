"""A tiny network for the tests of the regressor."""

import numpy as np
import pytest
import torch

from spinloop.params.training import NetworkParams
from spinloop.regression.hmr import Hmr, MeanParameters


@pytest.fixture(scope="session")
def tiny_params() -> NetworkParams:
    return NetworkParams(
        backbone="resnet18", width=8, head_width=16, image_px=32, n_iterations=3, dropout=0.5, compat="none"
    )


@pytest.fixture(scope="session")
def mean() -> MeanParameters:
    identity = np.tile([1, 0, 0, 1, 0, 0], 24).astype(np.float32)
    identity[:6] = [1, 0, 0, -1, 0, 0]
    return MeanParameters(identity, np.zeros(10, np.float32), np.array([0.9, 0, 0], np.float32))


@pytest.fixture
def tiny(tiny_params: NetworkParams, mean: MeanParameters) -> Hmr:
    return Hmr(tiny_params, mean, torch.Generator().manual_seed(0))
