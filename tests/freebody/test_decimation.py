"""Decimation of a symmetric sphere."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from spinloop.freebody.decimation import decimate_symmetric


@pytest.fixture(scope="module")
def sphere():
    """A ball that is symmetric in x = 0, with a ring of vertices on that plane."""
    ball = trimesh.creation.uv_sphere(radius=1.0, count=[24, 32])
    ball.merge_vertices()
    points = np.array(ball.vertices)
    points[np.abs(points) < 1e-9] = 0.0
    flip = KDTree(points).query(points * [-1.0, 1.0, 1.0])[1]
    faces = np.array(ball.faces)
    # One half and its flip, so that the triangles are symmetric too.
    left = faces[(points[faces, 0] >= 0).all(axis=1)]
    return points, np.concatenate([left, flip[left][:, ::-1]]), flip


def test_decimation_gives_the_exact_number_and_stays_a_symmetric_sphere(sphere):
    points, faces, flip = sphere
    locked = np.zeros(len(points), dtype=bool)
    locked[[3, 200]] = True
    before = points.copy()
    decimated = decimate_symmetric(points, faces, flip, 300, locked, np.ones(len(points)))
    mesh = trimesh.Trimesh(points[decimated.kept], decimated.faces, process=False)
    assert len(decimated.kept) == 300
    assert mesh.is_watertight
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.08)
    assert np.isin(flip[decimated.kept], decimated.kept).all()
    assert np.isin([3, 200], decimated.kept).all()
    np.testing.assert_array_equal(points, before)


def test_an_impossible_number_of_vertices_is_refused(sphere):
    points, faces, flip = sphere
    locked = np.ones(len(points), dtype=bool)
    with pytest.raises(ValueError, match="vertices too many remain"):
        decimate_symmetric(points, faces, flip, 300, locked, np.ones(len(points)))
