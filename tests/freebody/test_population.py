"""Principal directions of a population with known ones."""

import numpy as np
import pytest
import trimesh

from spinloop.freebody.population import matched, principal_shapes, volume


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


def test_shape_directions_are_matched_to_a_reference_in_order_and_sign():
    random = np.random.default_rng(2)
    people = _population(random, [3.0, 1.0, 0.3])
    space = principal_shapes(people, np.arange(99).reshape(33, 3), 3)
    shuffled = space._replace(
        directions=space.directions[..., [2, 0, 1]] * [-1.0, 1.0, -1.0],
        variance_share=space.variance_share[[2, 0, 1]],
    )
    restored = matched(shuffled, space)
    np.testing.assert_allclose(restored.directions, space.directions)
    np.testing.assert_allclose(restored.variance_share, space.variance_share)


def test_volume_of_a_box():
    box = trimesh.creation.box(extents=(1.0, 2.0, 3.0))
    assert volume(np.array(box.vertices)[None] + 5.0, np.array(box.faces))[0] == pytest.approx(6.0)
