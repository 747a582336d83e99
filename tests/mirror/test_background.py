import numpy as np
import pytest
import trimesh

from spinloop.mirror.background import CUBE_CORNERS, CUBE_FACES, paint_background, sample_background
from spinloop.mirror.camera import look_at
from spinloop.mirror.textures import plain

SIZE = (120, 160)


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
def test_backgrounds_are_pictures_in_range(seed):
    camera = look_at(np.array([0.5, 1.4, 3.0]), np.array([0.1, 0.9, -0.2]), 0.1, 210.0, SIZE)
    place = sample_background(np.random.default_rng(seed))
    image = paint_background(place, camera, np.ones(SIZE))
    assert image.shape == (*SIZE, 3)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1.2


def test_the_faces_of_a_cuboid_point_outwards():
    box = trimesh.Trimesh(CUBE_CORNERS, CUBE_FACES, process=False)
    assert box.is_watertight
    assert box.volume == pytest.approx(1.0)
