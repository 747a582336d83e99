"""The frame of a person's own keypoints, in which the network reads and answers.

Its origin is the mean of the keypoints that are seen, its unit their spread, so that where in the crop and
how large a person is makes no difference.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.geometry.crop_frame import CENTER_PX, CROP_PX, FOCAL_PX

N_INPUTS = 3 * 49
# Somebody of whom less than two keypoints are seen is taken to fill the crop.
_DEFAULT_SPREAD_PX = CROP_PX / 4
_LEAST_SPREAD_PX = 1.0
# Outliers further off say no more than that they are outliers.
_FARTHEST = 4.0
# Neither a pixel nor a confidence (as in the fit).
_ABSURD = 1e6
# Bounds of the logarithm of the spread per metre: people from 0.05 to 3.5 m of spread.
_LOG_SCALE = (-1.2, 3.0)


class Frame(NamedTuple):
    """Where the keypoints of each person lie, and how far apart."""

    middle: Float[Tensor, "B 2"]
    """Pixels of the crop."""
    spread: Float[Tensor, " B"]
    """Root mean square distance from the middle along one axis, pixels."""


def own_frame(keypoints: Float[Tensor, "B 49 3"]) -> Frame:
    """The frame of each person's keypoints; finite whatever they hold.

    Args:
        keypoints: pixels and confidence; 0, or a number that is not finite, leaves a keypoint out.
    """
    points, seen = _seen(keypoints)
    count = seen.sum(1)
    middle = (points * seen).sum(1) / count.clamp(min=1)
    square = ((points - middle[:, None]).square() * seen).sum((1, 2)) / (2 * count[:, 0].clamp(min=1))
    spread = torch.where(count[:, 0] >= 2, square.sqrt().clamp(min=_LEAST_SPREAD_PX), _DEFAULT_SPREAD_PX)
    return Frame(torch.where(count > 0, middle, CENTER_PX), spread)


def encode(keypoints: Float[Tensor, "B 49 3"], frame: Frame) -> Float[Tensor, "B 147"]:
    """What the network reads: places in the frame and confidences, zeros where nothing is seen."""
    points, seen = _seen(keypoints)
    places = (points - frame.middle[:, None]) / frame.spread[:, None, None]
    confidence = torch.where(seen > 0, keypoints[..., 2:], 0.0).clamp(max=1)
    return torch.cat([places.clamp(-_FARTHEST, _FARTHEST) * seen, confidence], dim=-1).flatten(1)


def encode_camera(translation: Float[Tensor, "B 3"], frame: Frame) -> Float[Tensor, "B 3"]:
    """A translation as the network answers it: log of the scale, and the place of the body's origin.

    Args:
        translation: metres, of the 5000 px camera of the crop.
        frame: of the person's keypoints.
    """
    px_per_m = FOCAL_PX / translation[:, 2:]
    place = (translation[:, :2] * px_per_m + CENTER_PX - frame.middle) / frame.spread[:, None]
    return torch.cat([(px_per_m / frame.spread[:, None]).log(), place], dim=1)


def decode_camera(camera: Float[Tensor, "B 3"], frame: Frame) -> Float[Tensor, "B 3"]:
    """The inverse of `encode_camera`; scales beyond those of people are clipped."""
    px_per_m = camera[:, :1].clamp(*_LOG_SCALE).exp() * frame.spread[:, None]
    place = camera[:, 1:] * frame.spread[:, None] + frame.middle - CENTER_PX
    return torch.cat([place / px_per_m, FOCAL_PX / px_per_m], dim=1)


def _seen(keypoints: Float[Tensor, "B 49 3"]) -> tuple[Float[Tensor, "B 49 2"], Float[Tensor, "B 49 1"]]:
    # NaN is not less than anything.
    known = (keypoints.abs() < _ABSURD).all(-1, keepdim=True) & (keypoints[..., 2:] > 0)
    return torch.where(known, keypoints[..., :2], 0.0), known.to(keypoints.dtype)
