"""Joints-only skinning against smplx's full mesh, autograd and published-code golden numbers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import smplx
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.joints import EXTRA9, MODEL49_FROM_SOURCE54

# Joints (by index) of the first person of the golden case through the published functions, metres.
GOLDEN_JOINTS = {
    0: (0.067696, 0.049569, -0.061055),
    8: (0.471124, 0.123984, 0.254324),
    9: (-0.424314, 0.260070, -0.204401),
    25: (-0.012816, -0.015578, -0.090877),
    27: (0.249571, 0.064986, 0.301497),
    38: (-0.165810, 0.708968, 0.029814),
    43: (-0.038279, 0.109514, -0.061672),
}


@pytest.fixture(scope="module")
def people(golden):
    """Two posed people of the golden case, as tensors."""
    return SimpleNamespace(pose=torch.tensor(golden.pose), betas=torch.tensor(golden.betas))


@pytest.fixture(scope="module")
def mesh(golden, people):
    """The same body and poses through smplx: posed skeleton joints with vertex joints, and vertices."""
    data = SimpleNamespace(**vars(golden.body))
    model = smplx.SMPL("", data_struct=data, num_betas=10, batch_size=2)
    with torch.no_grad():
        return model(betas=people.betas, body_pose=people.pose[:, 3:], global_orient=people.pose[:, :3])


def test_joints_equal_the_official_golden_numbers(golden, people):
    joints = JointsOnly(golden.body).joints(people.pose, people.betas)
    for index, expected in GOLDEN_JOINTS.items():
        np.testing.assert_allclose(joints[0, index].numpy(), expected, atol=2e-5)


def test_the_49_joints_equal_the_mesh_path_of_smplx(golden, people, mesh):
    extra = torch.tensor(golden.body.J_regressor_extra) @ mesh.vertices
    expected = torch.cat([mesh.joints, extra], dim=1)[:, MODEL49_FROM_SOURCE54]
    assert len(EXTRA9) + mesh.joints.shape[1] == 54
    joints = JointsOnly(golden.body).joints(people.pose, people.betas)
    assert (joints - expected).abs().max() < 1e-5


@pytest.mark.parametrize("rows", ["h36m17", "matrix"])
def test_regressed_joints_equal_the_mesh_path_of_smplx(golden, people, mesh, rows):
    # Rows that do not sum to one, as in some public regressors, must come out the same as well.
    matrix = golden.body.J_regressor_h36m if rows == "h36m17" else 1.02 * golden.body.J_regressor
    expected = torch.tensor(matrix) @ mesh.vertices
    model = JointsOnly(golden.body, rows="h36m17" if rows == "h36m17" else matrix)
    assert (model.joints(people.pose, people.betas) - expected).abs().max() < 1e-5


def test_matrices_and_axis_angle_give_the_same_joints(golden, people):
    model = JointsOnly(golden.body, dtype=torch.float64)
    pose, betas = people.pose.double(), people.betas.double()
    matrices = torch.linalg.matrix_exp(_skew(pose.unflatten(1, (24, 3))))
    assert (model.joints(matrices, betas) - model.joints(pose, betas)).abs().max() < 1e-12


@pytest.mark.parametrize("case", ["random", "zero", "near_pi"])
def test_jacobian_equals_autograd(golden, people, case):
    model = JointsOnly(golden.body, dtype=torch.float64)
    pose = {
        "random": people.pose.double(),
        "zero": torch.zeros(2, 72, dtype=torch.float64),
        "near_pi": torch.nn.functional.normalize(people.pose.double().view(2, 24, 3), dim=-1).flatten(1)
        * 3.14159,
    }[case]
    betas = people.betas.double()
    joints, jacobian = model.joints_and_jacobian(pose, betas)
    assert torch.equal(joints, model.joints_and_jacobian(pose, betas)[0])
    assert (joints - model.joints(pose, betas)).abs().max() < 1e-12
    for sample in range(2):
        by_pose, by_shape = torch.autograd.functional.jacobian(
            lambda *x: model.joints(x[0][None], x[1][None])[0], (pose[sample], betas[sample])
        )
        assert (jacobian[sample] - torch.cat([by_pose, by_shape], dim=-1)).abs().max() < 1e-7


def test_a_body_without_blend_shapes_has_the_same_interface(golden, people):
    body = replace(golden.body, posedirs=np.zeros_like(golden.body.posedirs))
    model = JointsOnly(body, dtype=torch.float64)
    pose, betas = people.pose.double(), people.betas.double()
    joints, jacobian = model.joints_and_jacobian(pose, betas)
    step = 1e-6 * torch.sin(torch.arange(72, dtype=torch.float64)).expand(2, -1)
    moved = (model.joints(pose + step, betas) - model.joints(pose - step, betas)) / 2
    predicted = torch.einsum("bjik,bk->bji", jacobian[..., :72], step)
    assert (moved - predicted).abs().max() < 1e-13
    assert joints.shape == (2, 49, 3)


def test_a_nan_sample_leaves_the_others_alone(golden, people):
    model = JointsOnly(golden.body)
    pose = people.pose.clone()
    pose[0, 5] = float("nan")
    clean, _ = model.joints_and_jacobian(people.pose, people.betas)
    joints, jacobian = model.joints_and_jacobian(pose, people.betas)
    assert torch.isfinite(jacobian[1]).all()
    assert torch.equal(joints[1], clean[1])


def test_inputs_are_left_untouched(golden, people):
    pose, betas = people.pose.clone(), people.betas.clone()
    JointsOnly(golden.body).joints_and_jacobian(pose, betas)
    assert torch.equal(pose, people.pose)
    assert torch.equal(betas, people.betas)


def test_an_unknown_set_of_joints_is_refused(golden):
    with pytest.raises(ValueError, match="model49"):
        JointsOnly(golden.body, rows="coco17")


def _skew(vector: torch.Tensor) -> torch.Tensor:
    zero = torch.zeros_like(vector[..., 0])
    x, y, z = vector.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def test_kept_joints_are_those_of_the_full_set(golden, people):
    keep = [48, 0, 9, 27, 9]
    joints, jacobian = JointsOnly(golden.body).joints_and_jacobian(people.pose, people.betas)
    kept, kept_jacobian = JointsOnly(golden.body, keep=keep).joints_and_jacobian(people.pose, people.betas)
    assert (kept - joints[:, keep]).abs().max() < 1e-6
    assert (kept_jacobian - jacobian[:, keep]).abs().max() < 1e-5
