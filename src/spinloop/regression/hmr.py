"""Pixels as the network wants them; training and evaluation share these two functions.

The estimate that the regressor starts from: the mean body and a camera that shows it whole.

The regressor: a ResNet and a head that corrects its own estimate a few times (HMR), with 6D rotations.

State-dict names and shapes are those of SPIN's checkpoint: for `resnet50` at width 64 and head width 1024 the
331 entries of the official `model_checkpoint.pt`.
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
from spinloop.geometry.crop import invert_affine, warp
from spinloop.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
)
from spinloop.params.training import NetworkParams
from spinloop.regression.resnet import ResNet

# Mean and deviation of ImageNet's RGB channels, of pixels in [0, 1] (torchvision).
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def crop_from_packed(
    packed: UInt8[np.ndarray, "H W 3"],
    packed_affine: Float[np.ndarray, "2 3"],
    affine: Float[np.ndarray, "2 3"],
    size_px: int,
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut the network's crop from a packed image in one interpolation.

    Args:
        packed: a person's stored image region, RGB.
        packed_affine: pixels of the original image → pixels of `packed`.
        affine: pixels of the original image → pixels of the wanted crop.
        size_px: side of the wanted crop.
    """
    back = invert_affine(packed_affine)
    turn = affine[:, :2] @ back[:, :2]
    shift = affine[:, :2] @ back[:, 2:] + affine[:, 2:]
    return warp(packed, np.concatenate([turn, shift], axis=1), size_px)


def normalize_images(
    images: UInt8[np.ndarray, "B S S 3"],
    gains: Float[np.ndarray, "B 3"] | None = None,
    compat: str = "none",
) -> Float[Tensor, "B 3 S S"]:
    """RGB bytes → the network's input, in channels-last memory.

    Args:
        images: RGB.
        gains: factor of each channel of each image (color noise); a product above white stays white.
        compat: the network's (`network.compat`); `official` stretches each image to the whole range from 0
            to 255 and cuts fractions of noisy values off, as the published code does in passing.
    """
    pixels = torch.from_numpy(images).float()
    if compat == "official":
        pixels = _stretched(pixels)
    if gains is not None:
        pixels = (pixels * torch.from_numpy(gains).float()[:, None, None]).clamp(max=255.0)
        if compat == "official":
            pixels = pixels.floor()
    mean, deviation = _statistics()
    return ((pixels - mean) / deviation).permute(0, 3, 1, 2)


def visible_images(normalized: Float[Tensor, "B 3 S S"]) -> UInt8[np.ndarray, "B S S 3"]:
    """The network's input → RGB bytes, for a person to look at."""
    mean, deviation = _statistics()
    pixels = normalized.detach().cpu().float().permute(0, 2, 3, 1) * deviation + mean
    return pixels.round().clamp(0, 255).to(torch.uint8).numpy()


def _stretched(pixels: Float[Tensor, "B S S 3"]) -> Float[Tensor, "B S S 3"]:
    """Each image from its darkest value (any channel) at 0 to its brightest at 255, in whole numbers.

    Source:
        SciPy 1.0's `bytescale`, to which the published cropping hands its float image.
    """
    low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    return (255 * (pixels - low) / span + 0.5).floor().clamp(0, 255)


def _statistics() -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    return 255 * torch.tensor(_MEAN), 255 * torch.tensor(_DEVIATION)


# HMR's mean camera: the crop spans 2 / 0.9 metres about the root.
_CAMERA = (0.9, 0.0, 0.0)
_ROUNDING = 1e-3
_SIZES = {"pose": 144, "shape": 10, "cam": 3}
_CURE = "name SPIN's smpl_mean_params.npz, or leave it out to derive the mean"


class MeanParameters(NamedTuple):
    """Start of the head's iterations; the fields are the keys of SPIN's `smpl_mean_params.npz`."""

    pose: Float[np.ndarray, " 144"]
    """6D rotations of the 24 joints; the root turns the body's y-up axes to the camera's y-down ones."""
    shape: Float[np.ndarray, " 10"]
    """Shape coefficients."""
    cam: Float[np.ndarray, " 3"]
    """Weak-perspective camera (s, tx, ty)."""


def mean_from_prior(means: Float[np.ndarray, "M 69"], weights: Float[np.ndarray, " M"]) -> MeanParameters:
    """Mean of the pose distribution, root turned by π about x, mean shape, camera (0.9, 0, 0).

    Args:
        means: body poses (axis-angle of joints 1–23, radians) at the middle of the mixture's components.
        weights: of the components; they sum to one.

    Source:
        SPIN's data notes and HMR's trainer, which replaces the mean's root in the same way.
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
    arrays = read_npz(path, _CURE, _SIZES)
    for key, size in _SIZES.items():
        found = arrays.get(key)
        if found is None or found.shape != (size,) or found.dtype.kind not in "fiu":
            what = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(f"{path}: {key}: expected {size} numbers, found {what}; use SPIN's file")
    mean = MeanParameters(*(arrays[key].astype(np.float32) for key in MeanParameters._fields))
    _check_order(path, mean.pose)
    return mean


def _check_order(path: Path, pose: Float[np.ndarray, " 144"]) -> None:
    """Refuse the other order in which people write six numbers: one column after the other.

    The six numbers of a rotation are two orthogonal unit columns only in the order they were written in.
    """
    faults = [
        _fault(columns) for columns in (pose.reshape(24, 3, 2), pose.reshape(24, 2, 3).transpose(0, 2, 1))
    ]
    if faults[1] < _ROUNDING < faults[0]:
        raise UserError(
            f"{path}: pose: the columns of the rotations follow each other; use SPIN's interleaved file"
        )


def _fault(columns: Float[np.ndarray, "24 3 2"]) -> float:
    return float(np.abs(np.einsum("jik,jil->jkl", columns, columns) - np.eye(2)).max())


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
