"""The forward pass against smplx, published numbers and itself."""

import ast
from types import SimpleNamespace

import numpy as np
import pytest
import smplx
import torch

from spinloop.body.model import BodyModel, SmplxBodyModel, make_body_model
from spinloop.body.skinning import pose_to_matrices
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_rot6d
from spinloop.joints import MODEL49, SMPL24


@pytest.fixture(scope="module")
def model(random_body):
    return BodyModel(random_body)


@pytest.fixture(scope="module")
def model64(random_body):
    return BodyModel(random_body, dtype=torch.float64)


@pytest.fixture(scope="module")
def reference64(random_body):
    keys = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
    struct = SimpleNamespace(**{key: getattr(random_body, key) for key in keys})
    return smplx.SMPL(
        "", data_struct=struct, create_transl=False, dtype=torch.float64, num_betas=10, batch_size=3
    )


def _reference(smpl, pose, betas):
    return smpl(betas=betas, global_orient=pose[:, :3], body_pose=pose[:, 3:])


@pytest.fixture
def states(generator):
    pose = 0.6 * torch.randn(3, 72, generator=generator, dtype=torch.float64)
    betas = 2 * torch.randn(3, 10, generator=generator, dtype=torch.float64)
    return pose, betas


def test_joints_equal_the_published_numbers(model, golden):
    pose, betas = (torch.tensor(a, dtype=torch.float32) for a in (golden.pose, golden.betas))
    output = model(pose, betas)
    # SPIN's own SMPL wrapper on these arrays.
    known = {
        0: (0.067696, 0.049569, -0.061055),
        8: (0.471124, 0.123984, 0.254324),
        9: (-0.424314, 0.260070, -0.204401),
        25: (-0.012816, -0.015578, -0.090877),
        27: (0.249571, 0.064986, 0.301497),
        38: (-0.165810, 0.708968, 0.029814),
        43: (-0.038279, 0.109514, -0.061672),
    }
    np.testing.assert_allclose(output.vertices[0, 0], (0.316716, -0.142005, 0.511952), atol=2e-6)
    for joint, place in known.items():
        np.testing.assert_allclose(output.joints49[0, joint], place, atol=2e-6, err_msg=MODEL49[joint])


def test_vertices_and_joints_equal_smplx(model64, reference64, states):
    output, expected = model64(*states), _reference(reference64, *states)
    np.testing.assert_allclose(output.vertices, expected.vertices.detach(), atol=1e-6)
    np.testing.assert_allclose(output.joints24, expected.joints[:, :24].detach(), atol=1e-6)
    nose = MODEL49.index("nose")
    np.testing.assert_allclose(output.joints49[:, nose], expected.joints[:, 24].detach(), atol=1e-6)


def test_float32_stays_within_a_hundredth_of_a_millimetre_of_smplx(model, reference64, states):
    expected = _reference(reference64, *states).vertices.detach()
    found = model.vertices(*(tensor.float() for tensor in states))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradients_equal_smplx(model64, reference64, states, generator):
    direction = torch.randn(3, 6890, 3, generator=generator, dtype=torch.float64)
    gradients = []
    for forward in (model64.vertices, lambda p, b: _reference(reference64, p, b).vertices):
        leaves = [tensor.clone().requires_grad_() for tensor in states]
        gradients.append(torch.autograd.grad((forward(*leaves) * direction).sum(), leaves))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-6)


def test_gradient_is_finite_in_the_t_pose(model):
    pose = torch.zeros(1, 72, requires_grad=True)
    model(pose, torch.zeros(1, 10)).joints49.square().sum().backward()
    assert pose.grad is not None
    assert torch.isfinite(pose.grad).all()
    assert pose.grad.abs().max() > 0


def test_every_form_of_a_pose_gives_the_same_body(model64, states):
    pose, betas = states
    expected = model64(pose, betas).vertices
    matrices = axis_angle_to_matrix(pose.reshape(3, 24, 3))
    for form in (matrices, matrix_to_rot6d(matrices), matrix_to_rot6d(matrices).flatten(1)):
        np.testing.assert_allclose(model64(form, betas).vertices, expected, atol=1e-10)


def test_a_pose_of_another_shape_is_refused(model):
    with pytest.raises(ValueError, match="not \\(1, 69\\)"):
        model(torch.zeros(1, 69), torch.zeros(1, 10))


def test_the_t_pose_is_the_template_and_its_regressed_joints(model64, random_body):
    output = model64(torch.zeros(1, 72, dtype=torch.float64), torch.zeros(1, 10, dtype=torch.float64))
    np.testing.assert_allclose(output.vertices[0], random_body.v_template, atol=1e-7)
    joints = random_body.J_regressor.astype(np.float64) @ random_body.v_template
    np.testing.assert_allclose(output.joints24[0], joints, atol=1e-7)


def test_turning_the_root_turns_the_body_about_its_pelvis(model64, states):
    pose, betas = states
    still = pose.clone()
    still[:, :3] = 0
    turned, rest = model64(pose, betas), model64(still, betas)
    pelvis = rest.joints24[:, SMPL24.index("pelvis"), None]
    rotation = axis_angle_to_matrix(pose[:, :3])
    expected = (rest.vertices - pelvis) @ rotation.mT + pelvis
    # The weights of the file are float32, so they sum to one only within 1e-7.
    np.testing.assert_allclose(turned.vertices, expected, atol=1e-7)


def test_h36m_joints_are_regressed_from_the_vertices(model64, random_body, generator):
    vertices = torch.randn(2, 6890, 3, generator=generator, dtype=torch.float64)
    expected = np.einsum("jv,bvc->bjc", random_body.J_regressor_h36m.astype(np.float64), vertices.numpy())
    np.testing.assert_allclose(model64.regress_h36m(vertices), expected, atol=1e-12)


def test_the_body_stays_out_of_checkpoints(model):
    assert dict(model.state_dict()) == {}


def test_the_batch_makes_no_difference(model64, states):
    pose, betas = states
    together = model64(pose, betas).joints49
    alone = torch.cat([model64(pose[i : i + 1], betas[i : i + 1]).joints49 for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_arguments_are_left_as_they_were(model64, states):
    copies = [tensor.clone() for tensor in states]
    model64(*states)
    for tensor, copy in zip(states, copies, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("form", ["axis_angle", "matrices"])
def test_both_engines_give_the_same_body_and_gradient(random_body, generator, form):
    pose = 0.5 * torch.randn(2, 72, generator=generator, dtype=torch.float64)
    if form == "matrices":
        pose = torch.linalg.qr(torch.randn(2, 24, 3, 3, generator=generator, dtype=torch.float64))[0]
        pose = pose * torch.linalg.det(pose)[..., None, None]
    betas = torch.randn(2, 10, generator=generator, dtype=torch.float64)
    outputs, gradients = [], []
    for engine in ("spinloop", "smplx"):
        model = make_body_model(random_body, engine, torch.float64)
        leaf = betas.clone().requires_grad_()
        outputs.append(model(pose, leaf))
        gradients.append(torch.autograd.grad(outputs[-1].joints49.square().sum(), leaf)[0])
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), atol=1e-6)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5)


def test_the_named_engine_is_used_and_prints_nothing(random_body, capsys):
    assert type(make_body_model(random_body)) is BodyModel
    reference = make_body_model(random_body, "smplx")
    assert isinstance(reference, SmplxBodyModel)
    assert dict(reference.state_dict()) == {}
    assert not any(parameter.requires_grad for parameter in reference.parameters())
    assert dict(torch.nn.ModuleDict({"body": reference}).state_dict()) == {}
    assert capsys.readouterr().out == ""


def test_other_packages_call_make_body_model_only(repository):
    package = repository / "src" / "spinloop"
    direct = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BodyModel"
    ]
    assert direct == ["body/model.py"]


def test_shape_is_recovered_from_the_mesh_by_least_squares(model64, generator):
    betas = torch.randn(2, 10, generator=generator, dtype=torch.float64)
    pose = 0.3 * torch.randn(2, 72, generator=generator, dtype=torch.float64)
    # In a fixed pose the vertices are affine in the shape.
    steps = torch.cat([torch.zeros(1, 10), torch.eye(10)]).double()
    for sample in range(2):
        images = model64.vertices(pose[sample].expand(11, -1), steps).flatten(1)
        target = model64.vertices(pose[sample : sample + 1], betas[sample : sample + 1]).flatten()
        found = torch.linalg.lstsq((images[1:] - images[0]).T, (target - images[0])[:, None]).solution[:, 0]
        np.testing.assert_allclose(found, betas[sample], atol=1e-8)


def test_pose_and_shape_are_recovered_from_the_mesh(model64, generator):
    pose = 0.3 * torch.randn(1, 72, generator=generator, dtype=torch.float64)
    betas = torch.randn(1, 10, generator=generator, dtype=torch.float64)
    target = model64.vertices(pose, betas)
    found_pose = torch.zeros_like(pose).requires_grad_()
    found_betas = torch.zeros_like(betas).requires_grad_()
    optimizer = torch.optim.LBFGS([found_pose, found_betas], max_iter=150, line_search_fn="strong_wolfe")

    def objective():
        optimizer.zero_grad()
        loss = (model64.vertices(found_pose, found_betas) - target).square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    np.testing.assert_allclose(found_betas.detach(), betas, atol=1e-3)
    np.testing.assert_allclose(pose_to_matrices(found_pose.detach()), pose_to_matrices(pose), atol=1e-3)
