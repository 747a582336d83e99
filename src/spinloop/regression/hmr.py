"""The regressor: a ResNet and a head that corrects its own estimate a few times (HMR), with 6D rotations.

State-dict names and shapes are those of SPIN's checkpoint: for `resnet50` at width 64 and head width 1024 the
331 entries of the official `model_checkpoint.pt`.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinloop.body.state import BodyState
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.rotations import matrix_to_axis_angle, rot6d_to_matrix
from spinloop.params.training import NetworkParams
from spinloop.regression.mean import MeanParameters
from spinloop.regression.resnet import ResNet

# A fit cannot start from a camera at infinity or behind the body: the body of two metres at this scale is
# a tenth of the crop high.
_SMALLEST_SCALE = 0.1


class Prediction(NamedTuple):
    """What the network says of a batch of crops."""

    rotations: Float[Tensor, "B 24 3 3"]
    """Matrices of the 24 joints; the root's is in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Shape coefficients, in standard deviations."""
    camera: Float[Tensor, "B 3"]
    """Weak-perspective (s, tx, ty) of the crop; see `geometry.camera`."""

    def to_state(self) -> BodyState:
        """The same body as axis-angles and a translation, outside the graph: where a fit starts.

        The camera's scale is taken as at least 0.1, so that the body stands in front of the camera.
        """
        rotations, betas, camera = (tensor.detach().float() for tensor in self)
        scale = camera[:, :1].clamp(min=_SMALLEST_SCALE)
        translation = camera_to_translation(torch.cat([scale, camera[:, 1:]], dim=1))
        return BodyState(matrix_to_axis_angle(rotations).flatten(1), betas, translation)


class Share(NamedTuple):
    """Where the samples at hand stand in a batch that several processes divide."""

    first: int
    """Row of the first of them."""
    total: int
    """Samples of the whole batch."""


class Hmr(ResNet):
    """Image → pose, shape and camera.

    There is no non-linearity between the head's layers, as in SPIN; its published weights rely on it.

    Args:
        params: sizes of the network.
        mean: the estimate that the head starts from.
        generator: source of the initial weights.

    Source:
        Kanazawa et al., End-to-end Recovery of Human Shape and Pose; SPIN sec. 3.2 and its `models/hmr.py`.
    """

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(self, params: NetworkParams, mean: MeanParameters, generator: torch.Generator):
        super().__init__(params.backbone, params.width, generator)
        self.compat = params.compat
        self.dropout = params.dropout
        self.n_iterations = params.n_iterations
        for name, values in zip(("init_pose", "init_shape", "init_cam"), mean, strict=True):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32)[None].clone())
        sizes = [values.shape[-1] for values in mean]
        self.fc1 = nn.Linear(self.n_features + sum(sizes), params.head_width)
        self.fc2 = nn.Linear(params.head_width, params.head_width)
        self.decpose, self.decshape, self.deccam = (nn.Linear(params.head_width, size) for size in sizes)
        self._initialize_head(generator)

    def forward(
        self,
        images: Float[Tensor, "B 3 H W"],
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Prediction:
        """Estimate the body in each image.

        Args:
            images: as `regression.inputs.normalize_images` gives them.
            generator: source of dropout, on the CPU; needed in training mode unless dropout is 0.
            share: which samples of a divided batch these are; a sample's dropout does not depend on the
                division. Not given: all of it.
        """
        features = self.features(images)
        pose, shape, camera = (
            start.expand(len(images), -1) for start in (self.init_pose, self.init_shape, self.init_cam)
        )
        for _ in range(self.n_iterations):
            x = self.fc1(torch.cat([features, pose, shape, camera], dim=1))
            x = self._drop(x, generator, share)
            x = self._drop(self.fc2(x), generator, share)
            pose, shape, camera = pose + self.decpose(x), shape + self.decshape(x), camera + self.deccam(x)
        return Prediction(rot6d_to_matrix(pose.unflatten(1, (24, 6))), shape, camera)

    def _drop(
        self, x: Float[Tensor, "B F"], generator: torch.Generator | None, share: Share | None
    ) -> Float[Tensor, "B F"]:
        """Dropout from a generator that the caller owns; torch's own draws from a global one."""
        if not self.training or self.dropout == 0:
            return x
        if generator is None:
            raise ValueError("training with dropout needs a generator")
        first, total = share or (0, len(x))
        drawn = torch.rand((total, x.shape[1]), generator=generator)[first : first + len(x)]
        kept = (drawn >= self.dropout).to(x.device)
        return x * kept / (1 - self.dropout)

    def _initialize_head(self, generator: torch.Generator) -> None:
        decoders = (self.decpose, self.decshape, self.deccam)
        with torch.no_grad():
            for layer in (self.fc1, self.fc2, *decoders):
                bound = 1 / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
            for layer in decoders:
                # Xavier with gain 0.01: the first estimate is the mean.
                bound = 0.01 * math.sqrt(6 / (layer.in_features + layer.out_features))
                layer.weight.uniform_(-bound, bound, generator=generator)
