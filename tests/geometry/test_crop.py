import numpy as np
import pytest

from spinloop.geometry.crop import crop_affine, crop_keypoints, invert_affine, transform_points, warp

CENTER = np.array([320.0, 240.0])


# The numbers below are those of SPIN's own transform, before it rounds.
@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0, 0), (-126.933, -67.2)),
        ((320, 240), (112, 112)),
        ((100.4, 50.7), (-51.968, -29.344)),
        ((500.9, 430.2), (247.072, 254.016)),
        ((170, 90), (0, 0)),
    ],
)
def test_points_equal_the_reference(point, expected):
    moved = transform_points(crop_affine(CENTER, 1.5), np.array([point], dtype=float))
    np.testing.assert_allclose(moved[0], expected, atol=1e-3)


def test_the_turned_map_equals_the_reference():
    expected = [[0.646632, 0.373333, -184.522336], [-0.373333, 0.646632, 76.274914]]
    np.testing.assert_allclose(crop_affine(CENTER, 1.5, rotation_deg=30.0), expected, atol=1e-6)


def test_positive_rotation_turns_the_picture_counter_clockwise():
    right_of_center = CENTER + np.array([10.0, 0.0])
    moved = transform_points(crop_affine(CENTER, 224 / 200, rotation_deg=90.0), right_of_center[None])[0]
    np.testing.assert_allclose(moved, [112, 102], atol=1e-9)  # above: y points down


def test_there_and_back_is_identity():
    affine = crop_affine(np.array([31.2, 500.7]), 0.83, rotation_deg=-41.0)
    points = np.random.default_rng(0).uniform(-100, 700, (20, 2))
    back = transform_points(invert_affine(affine), transform_points(affine, points))
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_keypoints_move_by_the_affine_map_of_their_crop():
    rng = np.random.default_rng(0)
    keypoints, center = rng.uniform(0, 500, (3, 49, 3)), rng.uniform(100, 400, (3, 2))
    scale = np.array([0.7, 1.5, 3.0])
    moved = crop_keypoints(keypoints, center, scale)
    for sample in range(3):
        affine = crop_affine(center[sample], scale[sample])
        np.testing.assert_allclose(moved[sample, :, :2], transform_points(affine, keypoints[sample, :, :2]))
    np.testing.assert_array_equal(moved[..., 2], keypoints[..., 2])


def _ramps(height, width):
    """An image whose values name the middle of each pixel: red is x, green is y (in quarter units)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x / 4, y / 4, np.full_like(x, 200)], -1)


@pytest.mark.parametrize("rotation_deg", [0.0, 30.0])
@pytest.mark.parametrize("scale", [0.3, 1.12, 3.0])
def test_pixels_lie_where_the_points_go(rotation_deg, scale):
    ramps = _ramps(900, 1000)
    center = np.array([500.3, 450.8])
    affine = crop_affine(center, scale, rotation_deg)
    crop = warp(np.rint(ramps).astype(np.uint8), affine, 224).astype(float)
    middle = np.stack(np.meshgrid(np.arange(60, 160) + 0.5, np.arange(60, 160) + 0.5), -1)
    original = transform_points(invert_affine(affine), middle.reshape(-1, 2)).reshape(100, 100, 2)
    seen = 4 * crop[60:160, 60:160, :2]
    # Values are rounded to whole numbers twice, so a single pixel is off by up to 4 px, their mean is not.
    np.testing.assert_allclose(seen, original, atol=5)
    np.testing.assert_allclose((seen - original).mean((0, 1)), 0, atol=0.35)


def test_outside_the_image_is_black():
    crop = warp(np.full((100, 100, 3), 255, np.uint8), crop_affine(np.array([0.0, 0.0]), 0.5), 224)
    assert (crop[:100, :100] == 0).all()
    assert (crop[124:, 124:] == 255).all()


def test_shrinking_does_not_alias():
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = warp(stripes, crop_affine(np.array([500.0, 500.0]), 5.0), 100)
    assert np.abs(crop[10:-10, 10:-10].astype(int) - 100).max() <= 15


def test_the_image_is_left_as_it_was():
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3)).astype(np.uint8)
    affine = crop_affine(np.array([20.0, 20.0]), 1.0)
    copies = image.copy(), affine.copy()
    warp(image, affine, 64)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(affine, copies[1])
