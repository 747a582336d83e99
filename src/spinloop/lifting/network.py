"""The network: residual layers of one width from keypoints to pose, shape and camera."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinloop.geometry.rotations import rot6d_to_matrix
from spinloop.lifting.frame import N_INPUTS
from spinloop.params.lifting import LifterNetworkParams

_SIZES = (24 * 6, 10, 3)
N_ANSWERS = sum(_SIZES)


class Lifted(NamedTuple):
    """What the network says about each person."""

    rotations: Float[Tensor, "B 24 3 3"]
    """Of the 24 joints; the root's in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Shape coefficients."""
    camera: Float[Tensor, "B 3"]
    """See `frame.encode_camera`."""


class Lifter(nn.Module):
    """Keypoints in their own frame → a posed body and its camera.

    Differs from Martinez et al.: layer normalisation, which treats every person alone, in place of batch
    normalisation; no dropout, since no person is ever seen twice.
    """

    mean: Tensor

    def __init__(
        self, params: LifterNetworkParams, mean: Float[Tensor, " 157"], generator: torch.Generator
    ) -> None:
        """Draw the weights.

        Args:
            params: sizes.
            mean: answer to start from: six numbers of each joint's rotation, shape, camera.
            generator: of the weights.
        """
        super().__init__()
        self.enter = nn.Linear(N_INPUTS, params.width)
        self.blocks = nn.ModuleList(_Block(params.width) for _ in range(params.n_blocks))
        self.leave = nn.Linear(params.width, N_ANSWERS)
        self.register_buffer("mean", mean.clone())
        _draw_weights(self, generator)

    def forward(self, inputs: Float[Tensor, "B 147"]) -> Lifted:
        """Lift keypoints that `frame.encode` has prepared."""
        hidden = torch.relu(self.enter(inputs))
        for block in self.blocks:
            hidden = block(hidden)
        six, betas, camera = (self.mean + self.leave(hidden)).split(_SIZES, dim=1)
        return Lifted(rot6d_to_matrix(six.unflatten(1, (24, 6))), betas, camera)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )

    def forward(self, hidden: Float[Tensor, "B W"]) -> Float[Tensor, "B W"]:
        return torch.relu(hidden + self.layers(hidden))


@torch.no_grad()
def _draw_weights(network: Lifter, generator: torch.Generator) -> None:
    """Kaiming's initialisation; the answer starts at the mean."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            layer.bias.zero_()
    network.leave.weight.mul_(0.01)
