import numpy as np
import pytest
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from hypothesis import given, settings
from hypothesis import strategies as st

from spinloop.rendering import raycast
from spinloop.rendering.raycast import render


def pixel_rays(size, focal_px, center_px):
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    x, y = (columns - center_px[0]) / focal_px, (rows - center_px[1]) / focal_px
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def test_mask_of_a_sphere_is_its_analytic_silhouette(sphere):
    size, focal, center_px = (120, 160), 180.0, (71.3, 58.9)
    center, radius = np.array([0.21, -0.13, 2.4]), 0.5
    rays = pixel_rays(size, focal, center_px)
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    distance = np.linalg.norm(center - (unit @ center)[..., None] * unit, axis=-1)
    mask = render(*sphere(tuple(center), radius), focal, center_px, size).mask
    # A fine icosphere lies within 0.1 % inside the sphere: only rays in that thin shell may differ.
    decided = np.abs(distance - radius) > 1e-3
    np.testing.assert_array_equal(mask[decided], distance[decided] < radius)
    assert decided.mean() > 0.99
    assert mask.sum() > 3000


def test_depth_and_normal_of_a_sphere_are_analytic(sphere):
    size, focal, center_px = (120, 160), 180.0, (80.0, 60.0)
    center, radius = np.array([0.1, 0.05, 2.4]), 0.5
    buffers = render(*sphere(tuple(center), radius), focal, center_px, size)
    rays = pixel_rays(size, focal, center_px)
    squared = (rays**2).sum(-1)
    along = rays @ center / squared
    root = along**2 - (center @ center - radius**2) / squared
    clear = buffers.mask & (root > 2e-3)
    depth = along[clear] - np.sqrt(root[clear])
    np.testing.assert_allclose(buffers.depth[clear], depth, atol=2e-3)
    normal = (rays[clear] * depth[:, None] - center) / radius
    assert ((buffers.normal[clear] * normal).sum(-1) > np.cos(np.deg2rad(3))).all()


def test_mask_of_a_cylinder_across_the_view_is_a_rectangle_with_known_sides():
    # Axis along y through (0, 0, 3): the tangent planes of the sides give the silhouette's left and right.
    radius, length, focal, size = 0.4, 20.0, 200.0, (100, 140)
    tube = trimesh.creation.cylinder(radius=radius, height=length, sections=720)
    vertices = np.asarray(tube.vertices)[:, [0, 2, 1]] + [0, 0, 3.0]
    mask = render(vertices, np.asarray(tube.faces), focal, (70.0, 50.0), size).mask
    half_width = focal * radius / np.sqrt(3.0**2 - radius**2)
    columns = np.abs(np.arange(140) + 0.5 - 70.0) < half_width
    np.testing.assert_array_equal(mask, np.broadcast_to(columns, size))


def embree_faces(vertices, faces, rays):
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, vertices.astype(np.float32), faces.astype(np.int32))
    directions = rays.reshape(-1, 3).astype(np.float32)
    hits = scene.run(np.zeros_like(directions), directions, output=True)
    shape = rays.shape[:2]
    return hits["primID"].reshape(shape), hits["tfar"].reshape(shape)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_random_overlapping_triangles_agree_with_a_ray_tracer(seed):
    rng = np.random.default_rng(seed)
    size, focal, center_px = (48, 64), 60.0, (30.0, 25.0)
    middles = rng.uniform([-1.5, -1.0, 1.5], [1.5, 1.0, 5.0], (40, 1, 3))
    vertices = (middles + rng.normal(0, 0.25, (40, 3, 3))).reshape(-1, 3)
    faces = np.arange(120).reshape(40, 3)
    buffers = render(vertices, faces, focal, center_px, size)
    expected, distance = embree_faces(vertices, faces, pixel_rays(size, focal, center_px))
    differs = buffers.face_index != expected
    assert differs.mean() < 2e-3, "single and double precision may only disagree on edges"
    hit = ~differs & buffers.mask
    np.testing.assert_allclose(buffers.depth[hit], distance[hit], rtol=1e-4)


def test_barycentric_weights_rebuild_the_point_on_the_ray(sphere):
    vertices, faces = sphere((0.0, 0.1, 2.0), 0.6, subdivisions=2)
    buffers = render(vertices, faces, 100.0, (40.0, 30.0), (60, 80))
    seen = buffers.mask
    points = np.einsum("nk,nki->ni", buffers.barycentric[seen], vertices[faces[buffers.face_index[seen]]])
    expected = pixel_rays((60, 80), 100.0, (40.0, 30.0))[seen] * buffers.depth[seen][:, None]
    np.testing.assert_allclose(points, expected, atol=1e-5)


def test_a_watertight_mesh_has_no_holes_when_corners_fall_on_pixel_middles():
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), -1).reshape(-1, 2) * 4 + 0.5
    vertices = np.concatenate([grid, np.ones((81, 1))], axis=1)
    quads = [(r * 9 + c, r * 9 + c + 1, r * 9 + c + 9, r * 9 + c + 10) for r in range(8) for c in range(8)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, d), (a, d, c))])
    assert render(vertices, faces, 1.0, (0.0, 0.0), (33, 33)).mask.all()


def test_blocks_of_any_length_give_the_same_picture(sphere, monkeypatch):
    arguments = (*sphere((0.0, 0.0, 2.0), 0.7, subdivisions=3), 90.0, (32.0, 32.0), (64, 64))
    whole = render(*arguments)
    monkeypatch.setattr(raycast, "_CANDIDATES_AT_ONCE", 100)
    for expected, found in zip(whole, render(*arguments), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("depth", [-2.0, 0.05])
def test_what_is_behind_or_at_the_camera_is_not_rendered(sphere, depth):
    vertices, faces = sphere((0.0, 0.0, depth), 0.04, subdivisions=1)
    buffers = render(vertices, faces, 100.0, (8.0, 8.0), (16, 16))
    assert not buffers.mask.any()
    assert np.isinf(buffers.depth).all()
    assert (buffers.face_index == raycast.NO_FACE).all()


def test_a_mesh_without_faces_is_an_empty_picture():
    buffers = render(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int32), 100.0, (8.0, 8.0), (16, 12))
    assert buffers.mask.shape == (16, 12)
    assert not buffers.mask.any()


def test_arguments_stay_as_they_were(sphere):
    vertices, faces = sphere((0.0, 0.0, 2.0), 0.5, subdivisions=2)
    before = vertices.copy(), faces.copy()
    render(vertices, faces, 90.0, (32.0, 32.0), (64, 64))
    np.testing.assert_array_equal(vertices, before[0])
    np.testing.assert_array_equal(faces, before[1])


def test_a_closed_mesh_is_rendered_the_same_without_its_back(sphere):
    one, other = sphere((0.1, 0.0, 2.0), 0.5, subdivisions=3), sphere((-0.3, 0.2, 2.3), 0.5, subdivisions=3)
    vertices = np.concatenate([one[0], other[0]])
    faces = np.concatenate([one[1], other[1] + len(one[0])])
    whole = render(vertices, faces, 90.0, (32.0, 32.0), (64, 64))
    fast = render(vertices, faces, 90.0, (32.0, 32.0), (64, 64), is_closed=True)
    # On the outline a ray may graze an edge that a front and a back face share.
    same = whole.face_index == fast.face_index
    assert same.mean() > 0.999
    np.testing.assert_array_equal(whole.depth[same], fast.depth[same])
