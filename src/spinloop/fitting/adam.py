"""The published solver: Adam on the camera, then Adam on the body with the camera frozen.

Kept for fidelity and for comparison; `fitting.lm` minimises the same objective further in far less time.
Adam works on each number by itself, so samples do not depend on each other although their objectives are
added up.

Source: SPIN's `smplify/smplify.py` (reference notes, sec. 4.5 and 4.6).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.body.state import BodyState
from spinloop.fitting.energy import BodyEnergy, camera_energy, torso
from spinloop.params.fitting import FittingParams


def fit_adam(
    energy: BodyEnergy, params: FittingParams, start: BodyState, keypoints: Float[Tensor, "B 49 3"]
) -> BodyState:
    """Fit by the published procedure.

    Args:
        energy: the objective.
        params: `n_iterations` steps of `step_size` in each of the two stages.
        start: where to begin; the depth of its translation is held.
        keypoints: pixels and confidence.

    Returns:
        The last iterate, as published; it may be worse than an earlier one.
    """
    body_pose, betas = start.pose[:, 3:].clone(), start.betas.clone()
    root, translation = start.pose[:, :3].clone(), start.translation.clone()
    depth = start.translation[:, 2].detach()

    def camera_stage() -> Float[Tensor, ""]:
        joints = energy.skeleton.joints(torch.cat([root, body_pose], dim=1), betas)
        return camera_energy(torso(joints, keypoints), translation, depth, params.depth_weight).sum()

    def body_stage() -> Float[Tensor, ""]:
        state = BodyState(torch.cat([root, body_pose], dim=1), betas, translation)
        return energy.terms(state, keypoints, params.weights).total.sum()

    with torch.enable_grad():
        _descend(camera_stage, [root, translation], params)
        _descend(body_stage, [body_pose, betas, root], params)
    return BodyState(torch.cat([root, body_pose], dim=1), betas, translation)


def _descend(loss: Callable[[], Tensor], variables: list[Tensor], params: FittingParams) -> None:
    """Steps of a fresh Adam on `variables`, in place."""
    for variable in variables:
        variable.requires_grad_(True)
    optimizer = torch.optim.Adam(variables, lr=params.step_size, betas=(0.9, 0.999))
    for _ in range(params.n_iterations):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    for variable in variables:
        variable.requires_grad_(False)
