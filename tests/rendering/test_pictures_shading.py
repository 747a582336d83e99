import numpy as np
import pytest

from spinloop.rendering.pictures import Light, downsample, lambert, shade, shaded, vertex_normals
from spinloop.rendering.raycast import render

CAMERA = (90.0, (32.0, 24.0))


def test_coverage_sums_to_the_area_of_the_disc(sphere):
    _, coverage = shaded(*sphere((0.0, 0.0, 2.0), 0.4), *CAMERA, (48, 64))
    radius = 90.0 * 0.4 / np.sqrt(2.0**2 - 0.4**2)
    assert coverage.sum() == pytest.approx(np.pi * radius**2, rel=5e-3)


def test_vertex_normals_of_a_sphere_point_outwards(sphere):
    vertices, faces = sphere((0.0, 0.0, 0.0), 1.0, subdivisions=4)
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices, atol=1e-2)  # facets are 2° wide


def test_side_towards_the_lamp_is_brighter(sphere):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    buffers = render(vertices, faces, *CAMERA, (48, 64))
    from_left = Light(np.array([-1.0, 0.0, 0.0]), 0.2)
    brightness = shade(vertices, faces, buffers, from_left)
    assert brightness[24, 20] > 2 * brightness[24, 44]
    assert (brightness[~buffers.mask] == 0).all()


def test_brightness_runs_from_ambient_to_one():
    light = Light(np.array([0.0, 0.0, -1.0]), 0.25)
    normals = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    ahead = np.array([[0.0, 0.0, 1.0]] * 3)
    facing, averted, edge_on = lambert(normals, ahead, light)
    assert facing == pytest.approx(1.0)
    assert averted == pytest.approx(1.0), "the back of an open mesh is lit as its front"
    assert 0.25 < edge_on < 0.5


def test_downsampling_keeps_the_mean():
    image = np.random.default_rng(1).random((6, 8, 3))
    small = downsample(image, 2)
    assert small.shape == (3, 4, 3)
    assert small.mean() == pytest.approx(image.mean())
