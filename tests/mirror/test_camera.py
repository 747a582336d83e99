import numpy as np
import pytest

from spinloop.mirror.background import paint_background, sample_background
from spinloop.mirror.camera import focal_of, look_at
from spinloop.mirror.textures import plain

SIZE = (120, 160)


@pytest.fixture
def camera():
    return look_at(np.array([0.5, 1.4, 3.0]), np.array([0.1, 0.9, -0.2]), 0.1, 210.0, SIZE)


def test_the_target_is_in_the_middle_and_up_is_up():
    position, target = np.array([0.5, 1.4, 3.0]), np.array([0.1, 0.9, -0.2])
    camera = look_at(position, target, 0.0, 210.0, SIZE)
    points = camera.to_camera(target + np.array([[0, 0, 0], [0, 0.1, 0], [0.1, 0, 0]]))
    pixels = camera.project(points)
    np.testing.assert_allclose(pixels[0], [80, 60])
    assert pixels[1, 1] < 60
    assert pixels[1, 0] == pytest.approx(80)
    assert pixels[2, 0] > 80
    assert np.linalg.det(camera.rotation) == pytest.approx(1)
    np.testing.assert_allclose(camera.to_camera(position[None]), np.zeros((1, 3)), atol=1e-12)


def test_rays_meet_the_pixels_that_their_points_are_projected_to(camera):
    rays = camera.rays()
    points = camera.to_camera(camera.position + 2.5 * rays)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    np.testing.assert_allclose(
        camera.project(points), np.stack([columns.ravel(), rows.ravel()], 1), atol=1e-9
    )


def test_focal_length_sees_the_angle_along_the_longer_side():
    focal = focal_of(60.0, SIZE)
    assert np.rad2deg(2 * np.arctan(80 / focal)) == pytest.approx(60.0)


def test_the_horizon_of_a_level_camera_halves_the_picture():
    camera = look_at(np.array([0.0, 1.5, 4.0]), np.array([0.0, 1.5, 0.0]), 0.0, 150.0, SIZE)
    place = sample_background(np.random.default_rng(0))
    place = place._replace(
        floor=plain(np.array([1.0, 0.0, 0.0])), wall_distance_m=np.inf, sky=(np.eye(3)[2],) * 2,
        hedge=(np.eye(3)[1], 0.0, place.hedge[2]),
    )  # fmt: skip
    image = paint_background(place, camera, np.ones(SIZE))
    assert (image[:60, :, 2] > 0.99).all(), "air above"
    assert (image[75:, :, 0] > image[75:, :, 2]).all(), "floor below"


def test_the_wall_stands_on_the_floor_where_it_should():
    camera = look_at(np.array([0.0, 1.5, 4.0]), np.array([0.0, 1.5, 0.0]), 0.0, 150.0, SIZE)
    place = sample_background(np.random.default_rng(0))
    place = place._replace(
        floor=plain(np.array([1.0, 0.0, 0.0])), wall=plain(np.array([0.0, 1.0, 0.0])), panels=(),
        wall_normal=np.array([0.0, 0.0, 1.0]), wall_distance_m=2.1,
    )  # fmt: skip
    image = paint_background(place, camera, np.ones(SIZE))
    edge = 60 + 150.0 * 1.5 / 6.1
    is_floor = image[..., 0] > image[..., 1]
    np.testing.assert_array_equal(is_floor, np.broadcast_to((np.arange(120) + 0.5 > edge)[:, None], SIZE))


@pytest.mark.parametrize("seed", range(8))
def test_backgrounds_are_pictures_in_range(seed, camera):
    place = sample_background(np.random.default_rng(seed))
    image = paint_background(place, camera, np.ones(SIZE))
    assert image.shape == (*SIZE, 3)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1.2
