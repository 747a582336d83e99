import ast

import numpy as np
import pytest
import torch

from spinloop.body.model import BodyModel, SmplxBodyModel, make_body_model


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


def test_the_engine_is_the_one_that_was_named_and_prints_nothing(random_body, capsys):
    assert type(make_body_model(random_body)) is BodyModel
    reference = make_body_model(random_body, "smplx")
    assert isinstance(reference, SmplxBodyModel)
    assert dict(reference.state_dict()) == {}
    assert not any(parameter.requires_grad for parameter in reference.parameters())
    assert dict(torch.nn.ModuleDict({"body": reference}).state_dict()) == {}
    assert capsys.readouterr().out == ""


def test_other_packages_make_a_body_model_through_the_engine_only(repository):
    package = repository / "src" / "spinloop"
    direct = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BodyModel"
    ]
    assert direct == ["body/model.py"]
