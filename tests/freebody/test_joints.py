"""Joint regressors on bodies whose joint is known."""

import numpy as np
import pytest

from spinloop.freebody.joints import AT_REST, POSED, fit_row


@pytest.mark.parametrize("neighborhood", [AT_REST, POSED])
def test_a_joint_that_is_an_average_of_vertices_is_found_in_held_out_bodies(neighborhood):
    random = np.random.default_rng(0)
    directions = random.normal(size=(400, 3))
    shell = 0.1 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    bodies = shell + 0.1 * random.normal(size=(40, 1, 3)) + 0.01 * random.normal(size=(40, 1, 1)) * shell
    truth = bodies.mean(axis=1)
    row = fit_row(bodies[:20], truth[:20], np.roll(np.arange(400), 1), neighborhood)
    assert row.min() >= 0
    assert row.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.linalg.norm(np.einsum("v,nvi->ni", row, bodies[20:]) - truth[20:], axis=1).max() < 1e-4
