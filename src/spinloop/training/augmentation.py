"""How a training image is varied, and what that does to everything that is annotated on it.

One affine map per sample takes pixels of the original image to the varied crop: turned about the box's
middle, zoomed, then mirrored about the crop's middle line. Keypoints go through that map, images are cut with
it, 3D joints and poses are turned and mirrored to match. Nothing is rounded.

Source:
    SPIN's `datasets/base_dataset.py`; the draws come in its order.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.geometry.crop import CROP_PX, crop_affine, transform_points
from spinloop.joints import COMMON24_FLIP, MODEL49_FLIP
from spinloop.params.training import AugmentationParams


class Augmentation(NamedTuple):
    """How one sample is varied."""

    is_flipped: bool
    """Left and right change places."""
    gains: Float[np.ndarray, " 3"]
    """Factors of red, green and blue."""
    rotation_deg: float
    """Turn in the image plane, counter-clockwise as seen; before the mirroring."""
    zoom: float
    """Factor of the box's side: above 1 the person looks smaller."""


UNCHANGED = Augmentation(False, np.ones(3), 0.0, 1.0)


def draw_augmentation(rng: np.random.Generator, params: AugmentationParams) -> Augmentation:
    """Draw how a sample is varied."""
    is_flipped = bool(rng.random() <= params.flip_probability)
    gains = rng.uniform(1 - params.channel_noise, 1 + params.channel_noise, 3)
    bound = 2 * params.rotation_deg
    rotation = float(np.clip(rng.standard_normal() * params.rotation_deg, -bound, bound))
    zoom = float(np.clip(1 + rng.standard_normal() * params.scale, 1 - params.scale, 1 + params.scale))
    if rng.random() <= params.upright_probability:
        rotation = 0.0
    return Augmentation(is_flipped, gains, rotation, zoom)


def augmented_affine(
    center: Float[np.ndarray, " 2"], scale: float, augmentation: Augmentation, size_px: float = CROP_PX
) -> Float[np.ndarray, "2 3"]:
    """Pixels of the original image → pixels of the varied crop.

    Args:
        center: middle of the person's box, px of the original image.
        scale: side of the box / 200 px.
        augmentation: how the crop is varied.
        size_px: side of the crop.
    """
    affine = crop_affine(center, scale * augmentation.zoom, augmentation.rotation_deg, size_px)
    if augmentation.is_flipped:
        affine[0] = -affine[0]
        affine[0, 2] += size_px
    return affine


def official_keypoints(
    keypoints: Float[np.ndarray, "49 3"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    augmentation: Augmentation,
) -> Float[np.ndarray, "49 3"]:
    """Keypoints in the varied crop as the published code has them: whole pixels, cut off and moved by one.

    Args:
        keypoints: `joints.MODEL49`; x, y in px of the original image, confidence.
        center: middle of the person's box, px of the original image.
        scale: side of the box / 200 px.
        augmentation: how the crop is varied.

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


def augment_keypoints(
    keypoints: Float[np.ndarray, "49 3"], affine: Float[np.ndarray, "2 3"], is_flipped: bool
) -> Float[np.ndarray, "49 3"]:
    """Keypoints of the original image in the varied crop.

    Args:
        keypoints: `joints.MODEL49`; x, y in px of the original image, confidence.
        affine: of `augmented_affine`.
        is_flipped: the joints take their mirror partners' names.

    Returns:
        x, y in px of the crop, confidence. A joint with confidence 0 is all zeros: it has no place.
    """
    moved = np.concatenate([transform_points(affine, keypoints[:, :2]), keypoints[:, 2:]], axis=1)
    moved = np.where(keypoints[:, 2:] > 0, moved, 0.0)
    return (moved[list(MODEL49_FLIP)] if is_flipped else moved).astype(np.float32)


def augment_joints_3d(
    joints: Float[np.ndarray, "24 4"], augmentation: Augmentation
) -> Float[np.ndarray, "24 4"]:
    """Annotated 3D joints, turned and mirrored as the picture is.

    Args:
        joints: `joints.COMMON24`; x, y, z in metres from the root, camera axes; confidence.
        augmentation: how the crop is varied; its zoom does not change the body.
    """
    angle = np.deg2rad(-augmentation.rotation_deg)
    turned = joints.astype(np.float64)
    turned[:, 0] = np.cos(angle) * joints[:, 0] - np.sin(angle) * joints[:, 1]
    turned[:, 1] = np.sin(angle) * joints[:, 0] + np.cos(angle) * joints[:, 1]
    if augmentation.is_flipped:
        turned = turned[list(COMMON24_FLIP)]
        turned[:, 0] *= -1
    return turned.astype(np.float32)
