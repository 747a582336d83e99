"""The solver on problems whose solution is known otherwise."""

import numpy as np
import pytest
import scipy.optimize
import torch

from spinloop.fitting.solvers import Quadratic, damped_step, minimize


class Rosenbrock:
    """1 + 10 (y − x²)² + (a − x)², a differing by sample."""

    def __init__(self, a: torch.Tensor) -> None:
        self.a = a

    def rows(self, index):
        return Rosenbrock(self.a[index])

    def objective(self, unknowns):
        return self.linearize(unknowns).objective

    def linearize(self, unknowns):
        x, y = unknowns.unbind(1)
        residual = torch.stack([10**0.5 * (y - x**2), self.a - x], dim=1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rows = [torch.stack([-2 * 10**0.5 * x, 10**0.5 * one], 1), torch.stack([-one, zero], 1)]
        jacobian = torch.stack(rows, dim=1)
        return Quadratic(
            1 + residual.square().sum(1), 2 * (residual[:, None] @ jacobian)[:, 0], 2 * jacobian.mT @ jacobian
        )


@pytest.fixture
def starts():
    return torch.tensor(np.random.default_rng(0).normal(0, 2, (9, 2)))


def test_the_minimum_is_scipys(starts):
    a = torch.linspace(-1, 1, 9, dtype=torch.float64)
    found = minimize(Rosenbrock(a), starts, 200, 1e-3, 0.0)
    for sample, a_value in enumerate(a.tolist()):
        expected = scipy.optimize.minimize(
            lambda u, a=a_value: 10 * (u[1] - u[0] ** 2) ** 2 + (a - u[0]) ** 2, starts[sample], tol=1e-12
        )
        np.testing.assert_allclose(found.unknowns[sample], expected.x, atol=1e-4)


def test_more_steps_never_raise_the_objective(starts):
    problem = Rosenbrock(torch.zeros(9, dtype=torch.float64))
    before = problem.objective(starts)
    for n in range(1, 12):
        after = minimize(problem, starts, n, 1e-3, 0.0).objective
        assert (after <= before).all()
        before = after


def test_samples_do_not_depend_on_each_other(starts):
    a = torch.linspace(-1, 1, 9, dtype=torch.float64)
    whole = minimize(Rosenbrock(a), starts, 15, 1e-3, 1e-3)
    order = torch.tensor([4, 8, 1, 0])
    part = minimize(Rosenbrock(a[order]), starts[order], 15, 1e-3, 1e-3)
    for mine, theirs in zip(part, whole, strict=True):
        assert torch.equal(mine, theirs[order])


def test_a_finished_sample_is_left_where_it_is(starts):
    a = torch.zeros(9, dtype=torch.float64)
    short = minimize(Rosenbrock(a), starts, 40, 1e-3, 1e-2)
    long = minimize(Rosenbrock(a), starts, 80, 1e-3, 1e-2)
    assert short.converged.any()
    assert torch.equal(short.unknowns[short.converged], long.unknowns[short.converged])
    assert (short.iterations[short.converged] < 40).any()


def test_a_start_without_a_value_stays_and_disturbs_no_fits(starts):
    a = torch.zeros(9, dtype=torch.float64)
    a[3] = float("nan")
    found = minimize(Rosenbrock(a), starts, 10, 1e-3, 1e-6)
    assert torch.equal(found.unknowns[3], starts[3])
    clean = minimize(Rosenbrock(torch.zeros(9, dtype=torch.float64)), starts, 10, 1e-3, 1e-6)
    others = torch.arange(9) != 3
    assert torch.equal(found.unknowns[others], clean.unknowns[others])


def test_no_step_where_the_curvature_cannot_be_factored():
    at = Quadratic(
        torch.zeros(2), torch.ones(2, 2), torch.stack([torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])])
    )
    assert torch.equal(damped_step(at, torch.zeros(2)), torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))


def test_no_iterations_return_the_start(starts):
    found = minimize(Rosenbrock(torch.zeros(9, dtype=torch.float64)), starts, 0, 1e-3, 1e-6)
    assert torch.equal(found.unknowns, starts)
    assert (found.iterations == 0).all()


def test_an_empty_batch_is_allowed(starts):
    assert len(minimize(Rosenbrock(torch.zeros(0).double()), starts[:0], 3, 1e-3, 1e-6).objective) == 0
