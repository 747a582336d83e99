"""Random augmentation of a training image, applied alike to its keypoints and 3D joints.

One affine map per sample takes pixels of the original image to the augmented crop: it rotates about the
middle of the box, zooms, then flips about the middle column of the crop. Nothing is rounded.

Source:
    SPIN's `datasets/base_dataset.py`; random numbers are sampled in its order.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.geometry.crop import CROP_PX, crop_affine, transform_points
from spinloop.joints import COMMON24_FLIP, MODEL49_FLIP
from spinloop.params.training import AugmentationParams


class Augmentation(NamedTuple):
    """The augmentation of one sample."""

    is_flipped: bool
    """Left and right change places, after the rotation."""
    gains: Float[np.ndarray, " 3"]
    """Factors of the red, green and blue channels."""
    rotation_deg: float
    """Rotation in the image plane, counter-clockwise as seen."""
    zoom: float
    """Factor of the box's side: above 1 the person looks smaller."""


_ROUNDING = 1e-9
NO_AUGMENTATION = Augmentation(False, np.ones(3), 0.0, 1.0)


def sample_augmentation(rng: np.random.Generator, params: AugmentationParams) -> Augmentation:
    """Sample the augmentation of one image."""
    is_flipped = bool(rng.random() <= params.flip_probability)
    gains = rng.uniform(1 - params.channel_noise, 1 + params.channel_noise, 3)
    bound = 2 * params.rotation_deg
    rotation = float(np.clip(rng.standard_normal() * params.rotation_deg, -bound, bound))
    zoom = float(np.clip(1 + rng.standard_normal() * params.scale, 1 - params.scale, 1 + params.scale))
    if rng.random() <= params.upright_probability:
        rotation = 0.0
    return Augmentation(is_flipped, gains, rotation, zoom)


def crops_fault(params: AugmentationParams, image_px: int, size_px: int, margin: float) -> str | None:
    """What is wrong with packed crops for an augmentation, with the number needed; None if nothing is.

    Args:
        params: the augmentation.
        image_px: side of the network's image.
        size_px: side of a person's box in the packed image.
        margin: side of the packed image relative to the box.
    """
    if size_px < image_px:
        return f"crops.size_px: {size_px} is less than network.image_px; make it {image_px} or more"
    # A square that is rotated by up to 45° needs an ever larger upright one around it.
    steepest = 0.0 if params.upright_probability == 1 else 2 * params.rotation_deg
    angle = np.deg2rad(min(steepest, 45.0))
    reach = (1 + params.scale) * float(np.cos(angle) + np.sin(angle))
    if margin + _ROUNDING >= reach:
        return None
    needed = math.ceil(100 * (reach - _ROUNDING)) / 100
    return (
        f"crops.margin: {margin:g} leaves black corners in training images: train.augmentation rotates by up "
        f"to ±{steepest:g}° and zooms out to {1 + params.scale:g}; make it {needed:g} or more"
    )


def augmented_affine(
    center: Float[np.ndarray, " 2"], scale: float, augmentation: Augmentation, size_px: float = CROP_PX
) -> Float[np.ndarray, "2 3"]:
    """Affine map from pixels of the original image to pixels of the augmented crop.

    Args:
        center: middle of the person's box, px of the original image.
        scale: side of the box / 200 px.
        augmentation: the sample's augmentation.
        size_px: side of the crop.
    """
    affine = crop_affine(center, scale * augmentation.zoom, augmentation.rotation_deg, size_px)
    if augmentation.is_flipped:
        affine[0] = -affine[0]
        affine[0, 2] += size_px
    return affine


def augment_keypoints(
    keypoints: Float[np.ndarray, "49 3"], affine: Float[np.ndarray, "2 3"], is_flipped: bool
) -> Float[np.ndarray, "49 3"]:
    """Keypoints of the original image in the augmented crop.

    Args:
        keypoints: `joints.MODEL49`; x, y in px of the original image, confidence.
        affine: result of `augmented_affine`.
        is_flipped: whether left and right joints change places.

    Returns:
        x, y in px of the crop, confidence; all zero for a joint with confidence 0.
    """
    moved = np.concatenate([transform_points(affine, keypoints[:, :2]), keypoints[:, 2:]], axis=1)
    moved = np.where(keypoints[:, 2:] > 0, moved, 0.0)
    return (moved[list(MODEL49_FLIP)] if is_flipped else moved).astype(np.float32)


def augment_keypoints_official(
    keypoints: Float[np.ndarray, "49 3"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    augmentation: Augmentation,
) -> Float[np.ndarray, "49 3"]:
    """Keypoints in the augmented crop as in the published code: truncated to whole pixels, then moved by one.

    Args:
        keypoints: `joints.MODEL49`; x, y in px of the original image, confidence.
        center: middle of the person's box, px of the original image.
        scale: side of the box / 200 px.
        augmentation: the sample's augmentation.

    Source:
        SPIN's `utils/imutils.py`, `transform`, and `datasets/base_dataset.py`, `j2d_processing`.
    """
    affine = crop_affine(center, scale * augmentation.zoom, augmentation.rotation_deg)
    whole = np.trunc(transform_points(affine, keypoints[:, :2])) + 1
    moved = np.concatenate([whole, keypoints[:, 2:]], axis=1)
    if augmentation.is_flipped:
        moved = moved[list(MODEL49_FLIP)]
        moved[:, 0] = CROP_PX - moved[:, 0]
    return np.where(moved[:, 2:] > 0, moved, 0.0).astype(np.float32)


def augment_joints_3d(
    joints: Float[np.ndarray, "24 4"], augmentation: Augmentation
) -> Float[np.ndarray, "24 4"]:
    """Annotated 3D joints, rotated and flipped like the image.

    Args:
        joints: `joints.COMMON24`; x, y, z in metres from the root, camera axes; confidence.
        augmentation: the sample's augmentation; its zoom does not change the body.
    """
    angle = np.deg2rad(-augmentation.rotation_deg)
    rotated = joints.astype(np.float64)
    rotated[:, 0] = np.cos(angle) * joints[:, 0] - np.sin(angle) * joints[:, 1]
    rotated[:, 1] = np.sin(angle) * joints[:, 0] + np.cos(angle) * joints[:, 1]
    if augmentation.is_flipped:
        rotated = rotated[list(COMMON24_FLIP)]
        rotated[:, 0] *= -1
    return rotated.astype(np.float32)
