"""The square crop of a person: constants of its camera, its affine map, its pixels. Needs no torch.

A box is a center (px of the original image) and a scale (side of the square in units of 200 px, as in MPII).
Maps are sub-pixel, unlike SPIN's, which round.

Source: SPIN's `constants.py` for the camera.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

FOCAL_PX = 5000.0
"""Focal length of the crop's camera, the same on both axes."""
CROP_PX = 224.0
"""Side of the frame in which keypoints and cameras are given, whatever the network's input size."""
CENTER_PX = CROP_PX / 2
"""Principal point, the same on both axes."""
BOX_UNIT_PX = 200.0
"""Side of a box of scale 1."""


def crop_affine(
    center: Float[np.ndarray, " 2"],
    scale: float,
    rotation_deg: float = 0.0,
    size_px: float = CROP_PX,
) -> Float[np.ndarray, "2 3"]:
    """Affine map from pixels of the original image to pixels of the crop.

    Args:
        center: middle of the box, px of the original image; it maps to the middle of the crop.
        scale: side of the box / 200 px.
        rotation_deg: of the picture; positive values are counter-clockwise (x right, y down).
        size_px: side of the crop.

    Source:
        SPIN's `utils/imutils.py`, without its rounding.
    """
    zoom = size_px / (BOX_UNIT_PX * scale)
    angle = -np.deg2rad(rotation_deg)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = size_px / 2 - linear @ np.asarray(center, dtype=np.float64)
    return np.concatenate([linear, shift[:, None]], axis=1)


def transform_points(
    affine: Float[np.ndarray, "2 3"], points: Float[np.ndarray, "*N 2"]
) -> Float[np.ndarray, "*N 2"]:
    """Points after an affine map."""
    return points @ affine[:, :2].T + affine[:, 2]


def crop_keypoints(
    keypoints: Float[np.ndarray, "N J 3"], center: Float[np.ndarray, "N 2"], scale: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N J 3"]:
    """Keypoints of the original image in pixels of each person's 224 px crop; confidences are kept.

    Args:
        keypoints: pixels of the original image, confidence.
        center: of each person's box, pixels of the original image.
        scale: side of each person's box in units of 200 px.
    """
    zoom = CROP_PX / (BOX_UNIT_PX * scale)
    moved = (keypoints[..., :2] - center[:, None]) * zoom[:, None, None] + CENTER_PX
    return np.concatenate([moved, keypoints[..., 2:]], axis=-1)


def invert_affine(affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The inverse map."""
    inverse = np.linalg.inv(affine[:, :2])
    return np.concatenate([inverse, -inverse @ affine[:, 2:]], axis=1)


def warp(
    image: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"], size_px: int
) -> UInt8[np.ndarray, "S S 3"]:
    """Pixels of the crop, by bilinear interpolation; black outside the image.

    An image that shrinks by more than two is first reduced by area averaging, to avoid aliasing.
    """
    zoom = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    shrink = int(0.5 / zoom) if zoom < 0.5 else 1
    if shrink > 1:
        height, width = (max(1, side // shrink) for side in image.shape[:2])
        ratio = np.array([image.shape[1] / width, image.shape[0] / height])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        affine = np.concatenate([affine[:, :2] * ratio, affine[:, 2:]], axis=1)
    # In cv2 pixel centers lie at whole numbers, here at halves.
    shifted = affine.copy()
    shifted[:, 2] += 0.5 * affine[:, :2].sum(1) - 0.5
    return cv2.warpAffine(image, shifted, (size_px, size_px), flags=cv2.INTER_LINEAR)


def crop_from_packed(
    packed: UInt8[np.ndarray, "H W 3"],
    packed_affine: Float[np.ndarray, "2 3"],
    affine: Float[np.ndarray, "2 3"],
    size_px: int,
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut a crop of the original image from a packed region of it, in one interpolation.

    Args:
        packed: a person's stored image region, RGB.
        packed_affine: pixels of the original image → pixels of `packed`.
        affine: pixels of the original image → pixels of the wanted crop.
        size_px: side of the wanted crop.
    """
    back = invert_affine(packed_affine)
    linear = affine[:, :2] @ back[:, :2]
    shift = affine[:, :2] @ back[:, 2:] + affine[:, 2:]
    return warp(packed, np.concatenate([linear, shift], axis=1), size_px)
