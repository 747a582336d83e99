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
    images: UInt8[np.ndarray, "B S S 3"], gains: Float[np.ndarray, "B 3"] | None = None
) -> Float[Tensor, "B 3 S S"]:
    """RGB bytes → the network's input, in channels-last memory.

    Args:
        images: RGB.
        gains: factor of each channel of each image (color noise); a product above white stays white.
    """
    pixels = torch.from_numpy(images).float()
    if gains is not None:
        pixels = (pixels * torch.from_numpy(gains).float()[:, None, None]).clamp(max=255.0)
    mean, deviation = (255 * torch.tensor(values) for values in (_MEAN, _DEVIATION))
    return ((pixels - mean) / deviation).permute(0, 3, 1, 2)
