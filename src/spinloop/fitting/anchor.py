"""The adaptive anchor: how strongly a fit in training is tied to its start, joint by joint.

For a start with deviation σ_θ radians and keypoints with deviation σ_px pixels, the maximum a posteriori
weight of the anchor is σ_px²/σ_θ². σ_θ is measured during training, by how far fits *without* anchor move
from their starts. Fits with anchor stay near their starts and would make the weight grow without a reason.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

# σ_θ = 0.01 rad at 1 px. A larger weight only worsens the conditioning of the curvature.
_MAX_WEIGHT = 1e4


class AdaptiveAnchor:
    """Weights from the running mean of the squared angle between starts and fits without anchor."""

    def __init__(self, noise_px: float, memory: float = 0.99) -> None:
        """Begin without observations: all weights are zero.

        Args:
            noise_px: deviation σ_px of the keypoints (`fitting.anchor_noise_px`).
            memory: share of the old mean that an update keeps.
        """
        self._noise_px, self._memory = noise_px, memory
        self._mean_square = torch.zeros(24, dtype=torch.float64)
        self._share = 0.0

    def update(
        self, start: Float[Tensor, "B 72"], fitted: Float[Tensor, "B 72"], is_usable: Bool[Tensor, " B"]
    ) -> None:
        """Add a batch to the mean.

        Args:
            start: poses that the fits started from, radians.
            fitted: poses of the same people after a fit without anchor.
            is_usable: whether a fit is good enough to count.
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
        # The squared angle is the sum over the three numbers of a rotation vector.
        variance = self._mean_square / self._share / 3
        return (self._noise_px**2 / variance.clamp(min=1e-12)).clamp(max=_MAX_WEIGHT).float()

    def state_dict(self) -> dict[str, Tensor]:
        """The running mean, for a checkpoint."""
        share = torch.tensor(self._share, dtype=torch.float64)
        return {"mean_square": self._mean_square.clone(), "share": share}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resume from a checkpoint."""
        self._mean_square, self._share = state["mean_square"].clone(), float(state["share"])
