"""What a pose and a shape should be before any keypoint is seen.

Energies are per sample and unweighted; the weights of the objective are applied in `fitting.energy`.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinloop.motion.mixture import Mixture

N_BODY_POSE = 69

# Positions in the 69 numbers of the body pose (without the root) of the elbows' y and the knees' x, and the
# sign that makes bending the wrong way positive: left elbow, right elbow, left knee, right knee.
ANGLES = (52, 55, 9, 12)
ANGLE_SIGNS = (1.0, -1.0, -1.0, -1.0)


class NearestComponent(NamedTuple):
    """The mixture's component that explains a pose best."""

    energy: Float[Tensor, " B"]
    gradient: Float[Tensor, "B 69"]
    component: Int[Tensor, " B"]


class PosePrior(nn.Module):
    """Distance of a body pose to the nearest component of a Gaussian mixture, as in SMPLify."""

    means: Tensor
    precisions: Tensor
    constants: Tensor
    mean: Tensor

    def __init__(self, mixture: Mixture, dtype: torch.dtype = torch.float32) -> None:
        """Invert the covariances, in float64.

        Args:
            mixture: over the 69 numbers of the body pose.
            dtype: of the energies.
        """
        super().__init__()
        covariances = np.asarray(mixture.covars, dtype=np.float64)
        # Determinants of 69-dimensional covariances underflow, their logarithms do not.
        half_log_det = 0.5 * np.linalg.slogdet(covariances)[1]
        constants = 0.5 * N_BODY_POSE * math.log(2 * math.pi) + half_log_det - half_log_det.min()
        constants = constants - np.log(mixture.weights)
        for name, array in (
            ("means", mixture.means),
            ("precisions", np.linalg.inv(covariances)),
            ("constants", constants),
        ):
            self.register_buffer(name, torch.as_tensor(np.asarray(array), dtype=dtype))
        self.register_buffer(
            "mean", torch.as_tensor(np.asarray(mixture.weights) @ np.asarray(mixture.means), dtype=dtype)
        )

    def energies(self, body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, "B M"]:
        """½ (θ − μ)ᵀ Σ⁻¹ (θ − μ) − ln w̃ of each component.

        Source:
            SMPLify's merged mixture prior; w̃ divides by √det Σ relative to the component with the least.
        """
        return self._energies(body_pose)[0]

    def energy(self, body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, " B"]:
        """The least of the components' energies."""
        return self.energies(body_pose).amin(dim=1)

    def nearest(self, body_pose: Float[Tensor, "B 69"]) -> NearestComponent:
        """The component of least energy; its curvature is `precisions[component]`."""
        energies, pulls = self._energies(body_pose)
        energy, component = energies.min(dim=1)
        return NearestComponent(
            energy, pulls[component, torch.arange(len(energy), device=energy.device)], component
        )

    def _energies(
        self, body_pose: Float[Tensor, "B 69"]
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "M B 69"]]:
        away = body_pose - self.means[:, None]
        pulls = away @ self.precisions
        return (0.5 * (away * pulls).sum(-1) + self.constants[:, None]).T, pulls


def angle_prior(body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, "B 4"]:
    """exp(2 s θ) of elbows and knees: grows fast where a joint bends the wrong way.

    Source:
        SMPLify, sec. 3.3.
    """
    return torch.exp(2 * body_pose[:, ANGLES] * body_pose.new_tensor(ANGLE_SIGNS))


def shape_prior(betas: Float[Tensor, "B 10"]) -> Float[Tensor, " B"]:
    """Sum of the squared shape coefficients."""
    return betas.square().sum(-1)
