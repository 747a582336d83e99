import numpy as np
import torch

from spinloop.geometry.crop import crop_affine, transform_points, warp
from spinloop.regression.inputs import crop_from_packed, normalize_images


def _spot_image(at: np.ndarray) -> np.ndarray:
    """A smooth bright spot on black, its middle at `at` (px, origin at the corner of the first pixel)."""
    rows, columns = np.mgrid[:300, :400] + 0.5
    bright = 255 * np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 6.0**2))
    return np.repeat(bright[..., None], 3, 2).round().astype(np.uint8)


def _spot(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_a_spot_lands_where_the_keypoint_map_says():
    spot, center = np.array([210.3, 160.8]), np.array([190.0, 150.0])
    image = _spot_image(spot)
    packed_affine = crop_affine(center, 1.2, size_px=160.0)
    packed = warp(image, packed_affine, 160)
    for rotation, size in ((0.0, 64), (37.0, 96), (-20.0, 64)):
        affine = crop_affine(center, 0.9, rotation, float(size))
        crop = crop_from_packed(packed, packed_affine, affine, size)
        assert np.abs(_spot(crop) - transform_points(affine, spot)).max() < 0.15


def test_normalized_channels_follow_imagenet_and_gains_saturate():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[..., 0], images[..., 1], images[..., 2] = 255, 100, 0
    plain = normalize_images(images)
    assert torch.allclose(
        plain[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, -0.406 / 0.225])
    )
    noisy = normalize_images(images, np.array([[1.4, 0.5, 1.4]]))
    assert torch.allclose(
        noisy[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (50 / 255 - 0.456) / 0.224, -0.406 / 0.225])
    )
    assert plain.is_contiguous(memory_format=torch.channels_last)
