"""Label maps at the image's resolution: analytic shapes, the crop's window, the published way back."""

import numpy as np
import pytest
import trimesh

from spinloop.rendering.masks import part_labels, render_labels, render_labels_as_published, uncrop_nearest
from spinloop.rendering.raycast import render

CENTER, SCALE, SIZE = np.array([150.25, 90.5]), 0.8, (200, 260)


def _pixel_middles(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    return rows, columns


def test_a_sphere_covers_exactly_the_pixels_of_its_outline(sphere):
    """A ray at angle a to the axis through the center meets the sphere where sin a < radius / distance."""
    center, radius = np.array([0.3, -0.2, 30.0]), 0.5
    vertices, faces = sphere(tuple(center), radius, 6)
    labels = render_labels(vertices, faces, np.full(len(faces), 4, np.uint8), CENTER, SCALE, SIZE)
    focal = 5000 * 200 * SCALE / 224
    rows, columns = _pixel_middles(SIZE)
    rays = np.stack([(columns - CENTER[0]) / focal, (rows - CENTER[1]) / focal, np.ones(SIZE)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    sine = np.linalg.norm(np.cross(rays, center / np.linalg.norm(center)), axis=-1)
    expected = sine < radius / np.linalg.norm(center)
    # The mesh lies inside the sphere by a 3000th of its radius: only pixels on the very outline may differ.
    differing = (labels > 0) != expected
    assert set(np.unique(labels)) == {0, 4}
    assert expected.sum() > 10_000
    assert differing.sum() <= 12
    assert (np.abs(sine[differing] * np.linalg.norm(center) / radius - 1) < 2e-3).all()


def test_a_cylinder_hides_what_is_behind_it_and_its_halves_keep_their_labels():
    """An upright cylinder of two labels before a wide plate: each pixel has a known answer."""
    radius, distance = 0.25, 25.0
    pipe = trimesh.creation.cylinder(radius=radius, height=1.0, sections=512)
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
    pipe.apply_transform(turn)
    pipe.apply_translation([0, 0, distance])
    plate = trimesh.creation.box([0.8, 0.3, 0.02])
    plate.apply_translation([0, 0, distance + 1.0])
    vertices = np.concatenate([pipe.vertices, plate.vertices])
    faces = np.concatenate([pipe.faces, plate.faces + len(pipe.vertices)])
    is_right = vertices[pipe.faces].mean(1)[:, 0] > 0
    labels = np.concatenate([np.where(is_right, 1, 2), np.full(len(plate.faces), 3)]).astype(np.uint8)
    rendered = render_labels(vertices, faces, labels, CENTER, SCALE, SIZE)
    focal = 5000 * 200 * SCALE / 224
    row = int(CENTER[1])
    x = (np.arange(SIZE[1]) + 0.5 - CENTER[0]) / focal
    tangent = radius / np.sqrt(distance**2 - radius**2)
    near_plate = 0.4 / (distance + 1.0 - 0.01)
    expected = np.where(np.abs(x) < near_plate, 3, 0)
    expected = np.where(np.abs(x) < tangent, np.where(x > 0, 1, 2), expected)
    is_edge = np.min(np.abs(np.abs(x)[:, None] - [0.0, tangent, near_plate]), axis=1) < 0.6 / focal
    np.testing.assert_array_equal(rendered[row][~is_edge], expected[~is_edge])
    assert {1, 2, 3} <= set(rendered[row])


def test_part_labels_name_the_seen_face_and_zero_beside(sphere):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.4)
    right = vertices[faces].mean(1)[:, 0] > 0
    labels = part_labels(
        render(vertices, faces, 90.0, (32.0, 24.0), (48, 64)), np.where(right, 6, 1).astype(np.uint8)
    )
    assert labels[24, 40] == 6
    assert labels[24, 24] == 1
    assert labels[0, 0] == 0


def test_the_crops_camera_sees_the_same_as_its_window_of_the_image(sphere):
    """A box of 224 px makes crop and image pixels one: the labels are then those of the crop, shifted."""
    vertices, faces = sphere((0.4, 0.1, 40.0), 0.3, 4)
    labels = np.ones(len(faces), np.uint8)
    rendered = render_labels(vertices, faces, labels, np.array([112.0, 112.0]), 1.12, (224, 224))
    crop = render(vertices, faces, 5000.0, (112.0, 112.0), (224, 224)).mask
    np.testing.assert_array_equal(rendered > 0, crop)
    official = render_labels_as_published(vertices, faces, labels, np.array([112.0, 112.0]), 1.12, (224, 224))
    np.testing.assert_array_equal(official > 0, crop)


def test_both_label_maps_agree_but_for_the_outline(sphere):
    vertices, faces = sphere((0.1, -0.1, 30.0), 0.4, 5)
    labels = np.full(len(faces), 2, np.uint8)
    ours, theirs = (
        render_map(vertices, faces, labels, CENTER, SCALE, SIZE)
        for render_map in (render_labels, render_labels_as_published)
    )
    differing = (ours != theirs).sum()
    outline = 2 * np.pi * np.sqrt((ours > 0).sum() / np.pi)
    assert 0 < differing < 1.5 * outline


def test_the_published_renderer_leaves_out_what_is_beyond_100_m(sphere):
    vertices, faces = sphere((0.0, 0.0, 120.0), 2.0, 3)
    labels = np.ones(len(faces), np.uint8)
    assert render_labels(vertices, faces, labels, CENTER, SCALE, SIZE).any()
    assert not render_labels_as_published(vertices, faces, labels, CENTER, SCALE, SIZE).any()


@pytest.mark.parametrize(
    ("center", "corners"),
    [((320.5, 240.25), (183, 103, 457, 377)), ((50.5, 40.25), (-86, -96, 187, 177))],
)
def test_corners_are_those_of_the_reference_notes(center, corners):
    left, top, right, bottom = corners
    pasted = uncrop_nearest(np.ones((224, 224), np.uint8), np.array(center), 1.37, (480, 640))
    rows, columns = np.nonzero(pasted)
    assert (columns.min(), rows.min()) == (max(left, 0), max(top, 0))
    assert (columns.max() + 1, rows.max() + 1) == (right, bottom)
    assert pasted.sum() == (right - max(left, 0)) * (bottom - max(top, 0))


def test_a_box_beyond_the_image_leaves_it_empty():
    crop = np.ones((224, 224), np.uint8)
    for center in ((-500.0, 50.0), (50.0, 900.0)):
        assert not uncrop_nearest(crop, np.array(center), 1.0, (100, 100)).any()
