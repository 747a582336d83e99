import numpy as np
import pytest

from spinloop.rendering.masks import contour, part_labels
from spinloop.rendering.overlay import Light, downsample, lambert, overlay, shade, shaded, vertex_normals
from spinloop.rendering.raycast import render

CAMERA = (90.0, (32.0, 24.0))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_overlay_changes_only_what_the_mesh_covers(sphere, photo):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    drawn = overlay(photo, vertices, faces, *CAMERA)
    _, coverage = shaded(vertices, faces, *CAMERA, (48, 64))
    np.testing.assert_array_equal(drawn[coverage == 0], photo[coverage == 0])
    assert (drawn[coverage == 1] != photo[coverage == 1]).any(1).mean() > 0.95


def test_opaque_overlay_hides_the_photo_and_transparent_one_shows_it(sphere, photo):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    np.testing.assert_array_equal(overlay(photo, vertices, faces, *CAMERA, alpha=0.0), photo)
    inside = shaded(vertices, faces, *CAMERA, (48, 64))[1] == 1
    on_black = overlay(np.zeros_like(photo), vertices, faces, *CAMERA, alpha=1.0)
    on_photo = overlay(photo, vertices, faces, *CAMERA, alpha=1.0)
    np.testing.assert_array_equal(on_black[inside], on_photo[inside])


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
    facing, turned, edge_on = lambert(normals, ahead, light)
    assert facing == pytest.approx(1.0)
    assert turned == pytest.approx(1.0), "the back of an open mesh is lit as its front"
    assert 0.25 < edge_on < 0.5


def test_part_labels_name_the_seen_face_and_zero_beside(sphere):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    right = vertices[faces].mean(1)[:, 0] > 0
    labels = part_labels(render(vertices, faces, *CAMERA, (48, 64)), np.where(right, 6, 1).astype(np.uint8))
    assert labels[24, 40] == 6
    assert labels[24, 24] == 1
    assert labels[0, 0] == 0


def test_contour_is_the_rim_of_a_square():
    square = np.zeros((8, 8), dtype=bool)
    square[2:6, 2:6] = True
    rim = square.copy()
    rim[3:5, 3:5] = False
    np.testing.assert_array_equal(contour(square), rim)


def test_downsampling_keeps_the_mean():
    image = np.random.default_rng(1).random((6, 8, 3))
    small = downsample(image, 2)
    assert small.shape == (3, 4, 3)
    assert small.mean() == pytest.approx(image.mean())
