"""Pixels as the network wants them; training and evaluation share these two functions."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spinloop.geometry.crop import invert_affine, warp

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
