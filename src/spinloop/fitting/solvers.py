"""The two solvers: Levenberg-Marquardt for many small problems at once, and Adam as published.

Levenberg-Marquardt gives every sample its own damping and accepts, rejects and finishes it alone, so that
no sample depends on the rest of its batch. Adam, first on the camera, then on the body with the camera
frozen, is kept for fidelity and comparison: it is far slower and ends at a higher objective. It works on each
number by itself, so samples do not depend on each other although their objectives are summed.

Source: SPIN's `smplify/smplify.py` for Adam.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.fitting.objective import Objective, torso, torso_objective
from spinloop.params.fitting import FittingParams

_SHRINK, _GROW = 0.1, 8.0
_MIN_DAMPING, _MAX_DAMPING = 1e-7, 1e8


class Quadratic(NamedTuple):
    """An objective and its quadratic model at one point."""

    objective: Float[Tensor, " B"]
    gradient: Float[Tensor, "B D"]
    curvature: Float[Tensor, "B D D"]
    """Positive semi-definite."""


@runtime_checkable
class Problem(Protocol):
    """One objective per sample, with its derivatives."""

    def objective(self, unknowns: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """Value at a point; infinite or NaN where the point is not allowed."""
        ...

    def linearize(self, unknowns: Float[Tensor, "B D"]) -> Quadratic:
        """Value, gradient and curvature at a point."""
        ...

    def rows(self, index: Int[Tensor, " N"]) -> "Problem":
        """The problem of some of the samples."""
        ...


class Minimum(NamedTuple):
    """Where the solver stopped."""

    unknowns: Float[Tensor, "B D"]
    objective: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]
    """Steps tried, accepted or rejected."""
    converged: Bool[Tensor, " B"]
    """The last step gained less than the tolerance, or no damping gives a gain any more."""


def minimize(
    problem: Problem, start: Float[Tensor, "B D"], n_iterations: int, damping: float, tolerance: float
) -> Minimum:
    """Minimise the objective of each sample, starting at `start`.

    Args:
        problem: the objective.
        start: finite unknowns.
        n_iterations: steps that are tried at most.
        damping: initial damping, relative to the curvature's diagonal.
        tolerance: a step that gains less than this share of the objective finishes a sample.

    Returns:
        Never worse than the start, and finite. A sample whose start has no finite objective stays there.
    """
    best = Minimum(
        start.clone(),
        problem.objective(start) if n_iterations == 0 else start.new_empty(len(start)),
        torch.zeros(len(start), dtype=torch.long, device=start.device),
        torch.zeros(len(start), dtype=torch.bool, device=start.device),
    )
    if n_iterations == 0 or len(start) == 0:
        return best
    active = torch.arange(len(start), device=start.device)
    unknowns, here = best.unknowns, problem.linearize(start)
    level = torch.full_like(here.objective, damping)
    is_running = torch.ones_like(best.converged)
    for iteration in range(n_iterations):
        candidate = unknowns + damped_step(here, level)
        if iteration + 1 < n_iterations:
            there = problem.linearize(candidate)
        else:
            there = here._replace(objective=problem.objective(candidate))
        is_better = is_running & (there.objective < here.objective)
        gain = here.objective - there.objective
        is_finished = is_running & torch.where(
            is_better, gain <= tolerance * here.objective.abs(), level * _GROW > _MAX_DAMPING
        )
        unknowns = torch.where(is_better[:, None], candidate, unknowns)
        here = _accepted(is_better, there, here)
        level = torch.where(is_better, level * _SHRINK, level * _GROW).clamp(min=_MIN_DAMPING)
        best.unknowns[active], best.objective[active] = unknowns, here.objective
        best.iterations[active] += is_running
        best.converged[active] |= is_finished
        is_running = is_running & ~is_finished
        n_running = int(is_running.sum())
        if n_running == 0:
            break
        # Finished samples are dropped when they are half of what is left.
        if 2 * n_running <= len(is_running):
            kept = is_running.nonzero()[:, 0]
            problem, active, unknowns, level = problem.rows(kept), active[kept], unknowns[kept], level[kept]
            here, is_running = Quadratic(*(part[kept] for part in here)), is_running[kept]
    return best


def damped_step(at: Quadratic, damping: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
    """The step to the minimum of the damped quadratic model; zero where the curvature cannot be factored.

    Args:
        at: the quadratic model.
        damping: the curvature's diagonal is multiplied by one plus this (Marquardt's scaling).
    """
    damped = at.curvature.clone()
    damped.diagonal(dim1=1, dim2=2).mul_(1 + damping[:, None])
    # The solver makes the upper factor of a row-major matrix without transposing it.
    factor, info = torch.linalg.cholesky_ex(damped, upper=True)
    step = -torch.cholesky_solve(at.gradient[..., None], factor, upper=True)[..., 0]
    possible = (info == 0) & torch.isfinite(step).all(-1)
    return torch.where(possible[:, None], step, 0.0)


def _accepted(is_better: Bool[Tensor, " B"], there: Quadratic, here: Quadratic) -> Quadratic:
    """`there` where `is_better`, `here` elsewhere; only rejected rows are copied, into `there`."""
    rejected = (~is_better).nonzero()[:, 0]
    if len(rejected) > 0:
        for new, old in zip(there, here, strict=True):
            new[rejected] = old[rejected]
    return there


def fit_adam(
    objective: Objective, params: FittingParams, start: BodyState, keypoints: Float[Tensor, "B 49 3"]
) -> BodyState:
    """Fit by the published procedure.

    Args:
        objective: what is minimised.
        params: `n_iterations` steps of `step_size` in each of the two stages.
        start: where to begin; the depth term ties to the depth of its translation.
        keypoints: pixels and confidence.

    Returns:
        The last iterate, as published; it may be worse than an earlier one.
    """
    body_pose, betas = start.pose[:, 3:].clone(), start.betas.clone()
    root, translation = start.pose[:, :3].clone(), start.translation.clone()
    depth = start.translation[:, 2].detach()

    def camera_stage() -> Float[Tensor, ""]:
        joints = objective.skeleton.joints(torch.cat([root, body_pose], dim=1), betas)
        return torso_objective(torso(joints, keypoints), translation, depth, params.depth_weight).sum()

    def body_stage() -> Float[Tensor, ""]:
        state = BodyState(torch.cat([root, body_pose], dim=1), betas, translation)
        return objective.terms(state, keypoints, params.weights).total.sum()

    with torch.enable_grad():
        _descend(camera_stage, [root, translation], params)
        _descend(body_stage, [body_pose, betas, root], params)
    return BodyState(torch.cat([root, body_pose], dim=1), betas, translation)


def _descend(loss: Callable[[], Tensor], variables: list[Tensor], params: FittingParams) -> None:
    """Take `n_iterations` steps of a new Adam on `variables`, in place."""
    for variable in variables:
        variable.requires_grad_(True)
    optimizer = torch.optim.Adam(variables, lr=params.step_size, betas=(0.9, 0.999))
    for _ in range(params.n_iterations):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    for variable in variables:
        variable.requires_grad_(False)
