"""How much a fit should trust its start, joint by joint, as training goes on.

A start that is off by σ_θ radians, against keypoints that are off by σ_px pixels, is held with the weight
σ_px²/σ_θ² of a maximum a posteriori estimate. σ_θ is measured as the network learns: by how far fits that
were *not* anchored move from their starts. Fits that were anchored confirm their starts and would make the
weight grow without a reason.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

# A weight that holds a joint to 0.01 rad at 1 px; more makes the curvature needlessly stiff.
_MAX_WEIGHT = 1e4


class AdaptiveAnchor:
    """Running mean of the squared angle between starts and free fits."""

    def __init__(self, noise_px: float, memory: float = 0.99) -> None:
        """Nothing is known yet: no joint is held.

        Args:
            noise_px: deviation of the keypoints (`fitting.anchor_noise_px`).
            memory: share of the old mean that an update keeps.
        """
        self._noise_px, self._memory = noise_px, memory
        self._mean_square = torch.zeros(24, dtype=torch.float64)
        self._share = 0.0

    def update(
        self, start: Float[Tensor, "B 72"], fitted: Float[Tensor, "B 72"], is_usable: Bool[Tensor, " B"]
    ) -> None:
        """Learn from a batch.

        Args:
            start: poses that the fits started from, radians.
            fitted: poses of the same people after a fit without anchor.
            is_usable: whether a fit is good enough to be believed.
        """
        if not bool(is_usable.any()):
            return
        before, after = (
            axis_angle_to_matrix(pose[is_usable].cpu().double().unflatten(1, (24, 3)))
            for pose in (start, fitted)
        )
        angle = matrix_to_axis_angle(before.mT @ after).norm(dim=-1)
        self._mean_square = self._memory * self._mean_square + (1 - self._memory) * angle.square().mean(0)
        self._share = self._memory * self._share + 1 - self._memory

    def weight(self) -> Float[Tensor, " 24"]:
        """Weight of each joint for `Fitter.fit`, px² per rad²; zero before the first update."""
        if self._share == 0:
            return torch.zeros(24)
        # The three numbers of a rotation vector share its squared angle.
        variance = self._mean_square / self._share / 3
        return (self._noise_px**2 / variance.clamp(min=1e-12)).clamp(max=_MAX_WEIGHT).float()

    def state_dict(self) -> dict[str, Tensor]:
        """All that is known, for a checkpoint."""
        share = torch.tensor(self._share, dtype=torch.float64)
        return {"mean_square": self._mean_square.clone(), "share": share}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self._mean_square, self._share = state["mean_square"].clone(), float(state["share"])
