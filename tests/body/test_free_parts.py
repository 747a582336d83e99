"""The steps of the build by themselves, on shapes whose answer is known."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from spinloop.freebody.decimation import thin_symmetric
from spinloop.freebody.joints import AT_REST, POSED, fit_row, joint_of_bone, merge_weights
from spinloop.freebody.shapes import like, principal_shapes, volume
from spinloop.freebody.surface import number_faces, number_vertices


@pytest.fixture(scope="module")
def sphere():
    """A round ball that is its own mirror image in x = 0, with a ring of vertices on that plane."""
    ball = trimesh.creation.uv_sphere(radius=1.0, count=[24, 32])
    ball.merge_vertices()
    points = np.array(ball.vertices)
    points[np.abs(points) < 1e-9] = 0.0
    mirror = KDTree(points).query(points * [-1.0, 1.0, 1.0])[1]
    faces = np.array(ball.faces)
    # One half, mirrored, so that triangles too are mirror images.
    left = faces[(points[faces, 0] >= 0).all(axis=1)]
    return points, np.concatenate([left, mirror[left][:, ::-1]]), mirror


def test_thinning_gives_the_exact_number_and_stays_a_symmetric_sphere(sphere):
    points, faces, mirror = sphere
    locked = np.zeros(len(points), dtype=bool)
    locked[[3, 200]] = True
    before = points.copy()
    thinned = thin_symmetric(points, faces, mirror, 300, locked, np.ones(len(points)))
    mesh = trimesh.Trimesh(points[thinned.kept], thinned.faces, process=False)
    assert len(thinned.kept) == 300
    assert mesh.is_watertight
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.08)
    assert np.isin(mirror[thinned.kept], thinned.kept).all()
    assert np.isin([3, 200], thinned.kept).all()
    np.testing.assert_array_equal(points, before)


def test_thinning_below_what_is_possible_says_so(sphere):
    points, faces, mirror = sphere
    locked = np.ones(len(points), dtype=bool)
    with pytest.raises(ValueError, match="more vertices would have to go"):
        thin_symmetric(points, faces, mirror, 300, locked, np.ones(len(points)))


def test_numbering_puts_landmarks_at_their_ids_and_the_left_side_first():
    is_right = np.array([True, False, True, False, False, True])
    order = number_vertices(is_right, {1: 5, 4: 1})
    assert order.tolist() == [3, 5, 4, 0, 1, 2]


def test_two_landmarks_on_one_vertex_are_refused():
    with pytest.raises(ValueError, match="same vertex"):
        number_vertices(np.zeros(4, dtype=bool), {0: 1, 2: 1})


def test_renumbered_faces_keep_their_orientation():
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    order = np.array([3, 2, 1, 0])
    assert number_faces(faces, order).tolist() == [[0, 1, 2], [1, 3, 2]]


@pytest.mark.parametrize("reach", [AT_REST, POSED])
def test_a_joint_that_is_an_average_of_vertices_is_found_in_unseen_bodies(reach):
    random = np.random.default_rng(0)
    directions = random.normal(size=(400, 3))
    shell = 0.1 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    bodies = shell + 0.1 * random.normal(size=(40, 1, 3)) + 0.01 * random.normal(size=(40, 1, 1)) * shell
    truth = bodies.mean(axis=1)
    row = fit_row(bodies[:20], truth[:20], np.roll(np.arange(400), 1), reach)
    assert row.min() >= 0
    assert row.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.linalg.norm(np.einsum("v,nvi->ni", row, bodies[20:]) - truth[20:], axis=1).max() < 1e-4


def _population(random, scales):
    directions = np.linalg.qr(random.normal(size=(300, 3)))[0]
    coefficients = random.normal(size=(500, 3)) * scales
    mean = random.normal(size=(100, 3))
    return mean + (coefficients @ directions.T).reshape(500, 100, 3)


def test_shape_directions_have_unit_variance_and_rebuild_the_population():
    random = np.random.default_rng(1)
    people = _population(random, [3.0, 1.0, 0.3])
    faces = np.arange(99).reshape(33, 3)
    space = principal_shapes(people, faces, 3)
    flat = space.directions.reshape(300, 3)
    betas = (people - space.mean).reshape(500, -1) @ flat / (flat**2).sum(axis=0)
    np.testing.assert_allclose(betas.std(axis=0, ddof=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(space.mean + (betas @ flat.T).reshape(500, 100, 3), people, atol=1e-9)
    assert space.variance_share.sum() == pytest.approx(1.0)
    assert (np.diff(space.variance_share) < 0).all()


def test_shape_directions_are_matched_to_a_model_in_order_and_sign():
    random = np.random.default_rng(2)
    people = _population(random, [3.0, 1.0, 0.3])
    space = principal_shapes(people, np.arange(99).reshape(33, 3), 3)
    shuffled = space._replace(
        directions=space.directions[..., [2, 0, 1]] * [-1.0, 1.0, -1.0],
        variance_share=space.variance_share[[2, 0, 1]],
    )
    restored = like(shuffled, space)
    np.testing.assert_allclose(restored.directions, space.directions)
    np.testing.assert_allclose(restored.variance_share, space.variance_share)


def test_volume_of_a_box():
    box = trimesh.creation.box(extents=(1.0, 2.0, 3.0))
    assert volume(np.array(box.vertices)[None] + 5.0, np.array(box.faces))[0] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("bone", "joint"),
    [
        ("root", "pelvis"),
        ("upperleg02.L", "left_hip"),
        ("toe5-3.R", "right_foot"),
        ("spine03", "spine2"),
        ("finger1-2.L", "left_wrist"),
        ("finger4-2.R", "right_hand"),
        ("eye.L", "head"),
        ("shoulder01.R", "right_collar"),
    ],
)
def test_bones_merge_into_joints(bone, joint):
    assert joint_of_bone(bone) == joint


def test_merged_weights_keep_four_and_break_ties_symmetrically():
    bones = ("root", "upperleg01.L", "upperleg01.R", "spine04", "spine03", "spine02")
    weights = np.array([[0.3, 0.1, 0.1, 0.2, 0.15, 0.15]])
    merged = merge_weights(weights, bones, np.array([0]))
    assert (merged > 0).sum() == 4
    assert merged.sum() == pytest.approx(1.0)
    assert merged[0, 1] == merged[0, 2] == 0.0
