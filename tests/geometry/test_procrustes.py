import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from spinloop.geometry.procrustes import procrustes_align, similarity


def _random_case(seed, n_joints, noise=0.0):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(2, n_joints, 3))
    rotation = Rotation.random(2, random_state=rng).as_matrix()
    scale, shift = rng.uniform(0.2, 5, 2), rng.normal(size=(2, 3))
    target = scale[:, None, None] * np.einsum("nij,nkj->nki", rotation, source) + shift[:, None]
    return source, target + noise * rng.normal(size=target.shape), (rotation, scale, shift)


@given(seed=st.integers(0, 10**6), n_joints=st.integers(4, 20))
@settings(max_examples=40, deadline=None)
def test_a_random_similarity_is_recovered(seed, n_joints):
    source, target, truth = _random_case(seed, n_joints)
    for found, expected in zip(similarity(source, target), truth, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_error_equals_the_reference_with_and_without_a_mirror_image():
    # SPIN's reconstruction_error; its generator had drawn the case of the camera tests before.
    random = np.random.RandomState(0)
    random.randn(49, 3), random.randn(49, 2), random.rand(49, 1)
    source = random.randn(14, 3)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    target = 0.1 * random.randn(14, 3) + 0.8 * source @ turn + 0.3
    for flip, expected in ((1, 0.146612), (-1, 0.493010)):
        moved = procrustes_align(source[None], target[None] * [1, 1, flip])
        error = np.linalg.norm(moved - target * [1, 1, flip], axis=-1).mean()
        assert error == pytest.approx(expected, abs=1e-6)


def test_equals_scipy_where_no_reflection_is_in_question():
    source, target, _ = _random_case(1, 14, noise=0.1)
    for one, other, moved in zip(source, target, procrustes_align(source, target), strict=True):
        a, b = one - one.mean(0), other - other.mean(0)
        rotation, total = orthogonal_procrustes(a, b)
        assert np.linalg.det(rotation) > 0
        np.testing.assert_allclose(moved, a @ rotation * total / (a**2).sum() + other.mean(0), atol=1e-10)


def test_no_nearby_similarity_is_better():
    source, target, _ = _random_case(2, 14, noise=0.3)
    target[:, :, 2] *= -1
    best = similarity(source, target)
    least = ((best.apply(source) - target) ** 2).sum((1, 2))
    rng = np.random.default_rng(0)
    for _ in range(50):
        turn = Rotation.from_rotvec(0.05 * rng.normal(size=(2, 3))).as_matrix()
        other = best._replace(
            rotation=turn @ best.rotation,
            scale=best.scale * np.exp(0.05 * rng.normal(size=2)),
            translation=best.translation + 0.05 * rng.normal(size=(2, 3)),
        )
        assert (((other.apply(source) - target) ** 2).sum((1, 2)) >= least - 1e-12).all()


def test_never_a_reflection():
    source, target, _ = _random_case(3, 14)
    found = similarity(source, -target)
    np.testing.assert_allclose(np.linalg.det(found.rotation), 1, atol=1e-12)


@pytest.mark.parametrize("shape", ["point", "line", "plane"])
def test_degenerate_sources_give_finite_rotations(shape):
    source = np.random.default_rng(0).normal(size=(1, 14, 3))
    flat = {"point": source * 0 + 1, "line": source * [1, 0, 0], "plane": source * [1, 1, 0]}[shape]
    found = similarity(flat, source)
    np.testing.assert_allclose(found.rotation @ found.rotation.transpose(0, 2, 1), np.eye(3)[None], atol=1e-9)
    assert np.isfinite(found.apply(flat)).all()
    if shape == "point":
        np.testing.assert_allclose(found.apply(flat), np.broadcast_to(source.mean(1), (1, 14, 3)), atol=1e-12)


def test_arguments_are_left_as_they_were():
    source, target, _ = _random_case(4, 14)
    copies = source.copy(), target.copy()
    procrustes_align(source, target)
    np.testing.assert_array_equal(source, copies[0])
    np.testing.assert_array_equal(target, copies[1])
