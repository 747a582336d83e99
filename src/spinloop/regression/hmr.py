"""HMR, the regressor: a ResNet and a head that corrects its own estimate a few times, with 6D rotations.

Also its input (normalized pixels) and the mean parameters that the head starts from. State-dict names and
shapes are those of SPIN's checkpoint: for `resnet50` at width 64 and head width 1024, the 331 entries of the
official `model_checkpoint.pt`.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
)
from spinloop.params.training import NetworkParams
from spinloop.regression.resnet import ResNet

# Mean and standard deviation of ImageNet's RGB channels, pixels in [0, 1] (torchvision).
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def normalize_images(
    images: UInt8[np.ndarray, "B S S 3"],
    gains: Float[np.ndarray, "B 3"] | None = None,
    compat: str = "none",
) -> Float[Tensor, "B 3 S S"]:
    """RGB bytes → the network's input, in channels-last memory.

    Args:
        images: RGB.
        gains: factor of each channel of each image (color noise); a product above white stays white.
        compat: parameter `network.compat`; `official` stretches each image to the range 0 to 255 and
            truncates noisy values to whole numbers, as the published code does.
    """
    pixels = torch.from_numpy(images).float()
    if compat == "official":
        pixels = _stretch_contrast(pixels)
    if gains is not None:
        pixels = (pixels * torch.from_numpy(gains).float()[:, None, None]).clamp(max=255.0)
        if compat == "official":
            pixels = pixels.floor()
    mean, deviation = _statistics()
    return ((pixels - mean) / deviation).permute(0, 3, 1, 2)


def visible_images(normalized: Float[Tensor, "B 3 S S"]) -> UInt8[np.ndarray, "B S S 3"]:
    """The network's input → RGB bytes, the inverse of `normalize_images` within rounding."""
    mean, deviation = _statistics()
    pixels = normalized.detach().cpu().float().permute(0, 2, 3, 1) * deviation + mean
    return pixels.round().clamp(0, 255).to(torch.uint8).numpy()


def _stretch_contrast(pixels: Float[Tensor, "B S S 3"]) -> Float[Tensor, "B S S 3"]:
    """Scale each image so that its darkest value (of any channel) is 0 and its brightest 255, rounded.

    Source:
        SciPy 1.0's `bytescale`, which the published code applies to its crops.
    """
    low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    return (255 * (pixels - low) / span + 0.5).floor().clamp(0, 255)


def _statistics() -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    return 255 * torch.tensor(_MEAN), 255 * torch.tensor(_DEVIATION)


# HMR's mean camera: the crop spans 2 / 0.9 metres about the root.
_CAMERA = (0.9, 0.0, 0.0)
_TOLERANCE = 1e-3
_SIZES = {"pose": 144, "shape": 10, "cam": 3}
_FIX = "name SPIN's smpl_mean_params.npz, or leave it out to derive the mean"


class MeanParameters(NamedTuple):
    """Start of the head's iterations; the fields are the keys of SPIN's `smpl_mean_params.npz`."""

    pose: Float[np.ndarray, " 144"]
    """6D rotations of the 24 joints; the root's takes the body's y-up axes to the camera's y-down axes."""
    shape: Float[np.ndarray, " 10"]
    """Shape coefficients."""
    cam: Float[np.ndarray, " 3"]
    """Weak-perspective camera (s, tx, ty)."""


def mean_from_prior(means: Float[np.ndarray, "M 69"], weights: Float[np.ndarray, " M"]) -> MeanParameters:
    """Mean of the pose prior with the root rotated by π about x, the mean shape, camera (0.9, 0, 0).

    Args:
        means: means of the mixture's components, axis-angle of joints 1–23, radians.
        weights: weights of the components; they sum to one.

    Source:
        SPIN's data notes; HMR's trainer replaces the root in the same way.
    """
    body = weights @ means
    pose = torch.tensor(np.concatenate([[np.pi, 0.0, 0.0], body])).view(24, 3)
    six = matrix_to_rot6d(axis_angle_to_matrix(pose)).flatten().numpy().astype(np.float32)
    return MeanParameters(six, np.zeros(10, np.float32), np.array(_CAMERA, np.float32))


def load_mean(path: Path) -> MeanParameters:
    """Read SPIN's `smpl_mean_params.npz`.

    Raises:
        UserError: the file is absent, not an npz, or an array is missing or of another size.
    """
    arrays = read_npz(path, _FIX, _SIZES)
    for key, size in _SIZES.items():
        found = arrays.get(key)
        if found is None or found.shape != (size,) or found.dtype.kind not in "fiu":
            what = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(f"{path}: {key}: expected {size} numbers, found {what}; use SPIN's file")
    mean = MeanParameters(*(arrays[key].astype(np.float32) for key in MeanParameters._fields))
    _check_order(path, mean.pose)
    return mean


def _check_order(path: Path, pose: Float[np.ndarray, " 144"]) -> None:
    """Refuse 6D rotations that store one column after the other instead of interleaving the two.

    Only in the right order are the six numbers of a rotation two orthogonal unit columns.
    """
    interleaved = _orthogonality_error(pose.reshape(24, 3, 2))
    consecutive = _orthogonality_error(pose.reshape(24, 2, 3).transpose(0, 2, 1))
    if consecutive < _TOLERANCE < interleaved:
        raise UserError(
            f"{path}: pose: the columns of the rotations follow each other; use SPIN's interleaved file"
        )


def _orthogonality_error(columns: Float[np.ndarray, "24 3 2"]) -> float:
    return float(np.abs(np.einsum("jik,jil->jkl", columns, columns) - np.eye(2)).max())


# A fit cannot start from a camera at infinity or behind the body. At this scale a body of two metres is a
# tenth of the crop high.
_SMALLEST_SCALE = 0.1


class Prediction(NamedTuple):
    """The network's estimate for a batch of crops."""

    rotations: Float[Tensor, "B 24 3 3"]
    """Rotation matrices of the 24 joints; the root's is in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Shape coefficients, in standard deviations."""
    camera: Float[Tensor, "B 3"]
    """Weak-perspective (s, tx, ty) of the crop; see `geometry.camera`."""

    def to_state(self) -> BodyState:
        """The same body as axis-angles and a translation, detached: the start of a fit.

        The camera's scale is clamped to at least 0.1, so that the body is in front of the camera.
        """
        rotations, betas, camera = (tensor.detach().float() for tensor in self)
        scale = camera[:, :1].clamp(min=_SMALLEST_SCALE)
        translation = camera_to_translation(torch.cat([scale, camera[:, 1:]], dim=1))
        return BodyState(matrix_to_axis_angle(rotations).flatten(1), betas, translation)


class BatchShare(NamedTuple):
    """One process's rows of a batch that several processes divide."""

    first: int
    """Index of its first row."""
    total: int
    """Rows of the whole batch."""


class Hmr(ResNet):
    """Image → pose, shape and camera.

    As in SPIN, there is no non-linearity between the head's layers; its published weights rely on that.

    Args:
        params: sizes of the network.
        mean: estimate that the head starts from.
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
        share: BatchShare | None = None,
    ) -> Prediction:
        """Estimate the body in each image.

        Args:
            images: output of `normalize_images`.
            generator: source of dropout, on the CPU; needed in training mode unless dropout is 0.
            share: the rows of a divided batch that `images` are; a sample's dropout does not depend on the
                division. None: the whole batch.
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
        self, x: Float[Tensor, "B F"], generator: torch.Generator | None, share: BatchShare | None
    ) -> Float[Tensor, "B F"]:
        """Dropout from the caller's generator; torch's own dropout uses the global one."""
        if not self.training or self.dropout == 0:
            return x
        if generator is None:
            raise ValueError("training with dropout needs a generator")
        first, total = share or (0, len(x))
        uniform = torch.rand((total, x.shape[1]), generator=generator)[first : first + len(x)]
        kept = (uniform >= self.dropout).to(x.device)
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
