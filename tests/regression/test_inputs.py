import numpy as np
import torch

from spinloop.geometry.crop import crop_affine, transform_points, warp
from spinloop.regression.hmr import crop_from_packed, normalize_images, visible_images


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


def test_official_pixels_span_the_whole_range_like_scipys_bytescale():
    """SPIN_FACTS 2.6: (v − min) · 255 / (max − min), rounded, over all channels; noise cuts fractions off."""
    rng = np.random.default_rng(0)
    images = rng.integers(40, 180, (2, 8, 8, 3)).astype(np.uint8)
    images[1] = 90
    low, high = int(images[0].min()), int(images[0].max())
    wanted = np.floor((images[0].astype(float) - low) * 255 / (high - low) + 0.5)
    seen = visible_images(normalize_images(images, compat="official"))
    assert np.array_equal(seen[0], wanted)
    assert not seen[1].any(), "an image of one color has no contrast to stretch"
    gains = np.array([[1.4, 0.5, 1.0], [1.0, 1.0, 1.0]])
    noisy = visible_images(normalize_images(images, gains, "official"))
    assert np.array_equal(noisy[0], np.floor(np.minimum(wanted * gains[0], 255)))


def test_what_the_network_sees_can_be_shown_again():
    images = np.random.default_rng(1).integers(0, 255, (2, 5, 5, 3)).astype(np.uint8)
    assert np.array_equal(visible_images(normalize_images(images)), images)
