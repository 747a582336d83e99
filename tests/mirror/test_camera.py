import numpy as np
import pytest

from spinloop.mirror.camera import focal_of, look_at

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
