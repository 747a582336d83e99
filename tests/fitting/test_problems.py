"""The problems of Levenberg-Marquardt: their gradients are those of autograd."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.objective import Objective
from spinloop.fitting.problems import BodyProblem, TorsoProblem, TranslationProblem, observe


@pytest.mark.parametrize("moves_camera", [True, False])
def test_gradient_of_the_body_problem_equals_autograd(golden, prior, start, keypoints, params, moves_camera):
    # Without pose blend shapes, whose derivative the solver leaves out on purpose.
    body = type(golden.body)(**{**vars(golden.body), "posedirs": np.zeros_like(golden.body.posedirs)})
    objective = Objective(body, prior, params.sigma_px, torch.float64)
    begin = BodyState(*(part.double() for part in start))
    observations = observe(begin, keypoints.double(), torch.full((2, 72), 3.0).double())
    problem = BodyProblem(objective, observations, params.weights, params.depth_weight, moves_camera)
    moved = torch.cat(begin, dim=1) + 0.05 * torch.sin(torch.arange(170.0)).view(2, 85).double()
    moved.requires_grad_(True)
    problem.objective(moved).sum().backward()
    at = problem.linearize(moved.detach())
    expected = moved.grad.clone()
    if not moves_camera:
        expected[:, 82:] = 0
    torch.testing.assert_close(at.gradient, expected, atol=1e-6, rtol=1e-7)
    torch.testing.assert_close(at.objective, problem.objective(moved.detach()))
    assert (torch.linalg.eigvalsh(at.curvature) > -1e-6).all()


def test_the_problem_of_some_people_is_theirs(fitter, params, crowd):
    begin, keypoints = crowd
    unknowns, chosen = torch.cat(begin, dim=1), torch.tensor([7, 2])
    observations = observe(begin, keypoints, torch.ones(12, 72))
    problem = BodyProblem(fitter.objective, observations, params.weights, params.depth_weight)
    some = problem.rows(chosen).objective(unknowns[chosen])
    torch.testing.assert_close(some, problem.objective(unknowns)[chosen])


def test_a_body_behind_the_camera_has_an_infinite_objective(fitter, params, crowd):
    begin, keypoints = crowd
    unknowns = torch.cat(begin._replace(translation=-begin.translation), dim=1)
    observations = observe(begin, keypoints, torch.zeros(12, 72))
    problem = BodyProblem(fitter.objective, observations, params.weights, params.depth_weight)
    assert torch.isinf(problem.objective(unknowns)).all()
    assert torch.isinf(problem.linearize(unknowns).objective).all()


@pytest.mark.parametrize("kind", ["torso", "translation"])
def test_gradients_of_the_camera_problems_equal_autograd(golden, prior, params, start, keypoints, kind):
    objective = Objective(golden.body, prior, params.sigma_px, torch.float64)
    begin, seen = BodyState(*(part.double() for part in start)), keypoints.double()
    first = begin.translation
    if kind == "torso":
        elsewhere = begin._replace(translation=begin.translation + 0.1)
        problem = TorsoProblem.at(objective, elsewhere, seen, 100.0)
        first = torch.cat([begin.pose[:, :3], first], dim=1)
    else:
        problem = TranslationProblem(objective.skeleton.joints(begin.pose, begin.betas), seen, 100.0)
    unknowns = first.requires_grad_(True)
    problem.objective(unknowns).sum().backward()
    gradient = problem.linearize(unknowns.detach()).gradient
    torch.testing.assert_close(gradient, unknowns.grad, atol=1e-6, rtol=1e-7)
