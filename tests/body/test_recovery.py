"""Pose and shape found back from the mesh that they made: the forward pass has no flat or wrong direction."""

import numpy as np
import pytest
import torch

from spinloop.body.model import BodyModel
from spinloop.body.skinning import pose_to_matrices


@pytest.fixture(scope="module")
def model(random_body):
    return BodyModel(random_body, dtype=torch.float64)


def test_shape_is_recovered_from_the_mesh_by_least_squares(model, generator):
    betas = torch.randn(2, 10, generator=generator, dtype=torch.float64)
    pose = 0.3 * torch.randn(2, 72, generator=generator, dtype=torch.float64)
    # In a fixed pose the vertices are affine in the shape.
    steps = torch.cat([torch.zeros(1, 10), torch.eye(10)]).double()
    for sample in range(2):
        images = model.vertices(pose[sample].expand(11, -1), steps).flatten(1)
        target = model.vertices(pose[sample : sample + 1], betas[sample : sample + 1]).flatten()
        found = torch.linalg.lstsq((images[1:] - images[0]).T, (target - images[0])[:, None]).solution[:, 0]
        np.testing.assert_allclose(found, betas[sample], atol=1e-8)


def test_pose_and_shape_are_recovered_from_the_mesh(model, generator):
    pose = 0.3 * torch.randn(1, 72, generator=generator, dtype=torch.float64)
    betas = torch.randn(1, 10, generator=generator, dtype=torch.float64)
    target = model.vertices(pose, betas)
    found_pose = torch.zeros_like(pose).requires_grad_()
    found_betas = torch.zeros_like(betas).requires_grad_()
    optimizer = torch.optim.LBFGS([found_pose, found_betas], max_iter=150, line_search_fn="strong_wolfe")

    def objective():
        optimizer.zero_grad()
        loss = (model.vertices(found_pose, found_betas) - target).square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    np.testing.assert_allclose(found_betas.detach(), betas, atol=1e-3)
    np.testing.assert_allclose(pose_to_matrices(found_pose.detach()), pose_to_matrices(pose), atol=1e-3)
