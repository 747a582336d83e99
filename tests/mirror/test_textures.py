import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinloop.mirror.textures import (
    TABLE_SIZE,
    checks,
    dots,
    mottled,
    noise,
    plaid,
    plain,
    sample_color,
    sample_texture,
    stripes,
)

ONE, OTHER = np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.9])


@given(seed=st.integers(0, 10_000), dimensions=st.sampled_from([2, 3]))
def test_every_texture_stays_in_range_and_keeps_its_points(seed, dimensions):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 3, (50, dimensions))
    before = points.copy()
    colors = sample_texture(rng, dimensions, (0.05, 0.3))(points)
    assert colors.shape == (50, 3)
    assert colors.min() >= 0
    assert colors.max() <= 1
    np.testing.assert_array_equal(points, before)


def test_noise_is_continuous_and_hits_the_table_on_the_lattice():
    table = np.random.default_rng(0).random(TABLE_SIZE)
    lattice = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(noise(lattice, table), table[[0, 1, 5]])
    line = np.stack([np.linspace(-4, 4, 4001), np.full(4001, 0.3)], axis=1)
    assert np.abs(np.diff(noise(line, table))).max() < 0.01
    assert noise(line, table).std() > 0.1


@pytest.mark.parametrize(
    "texture",
    [
        stripes(ONE, OTHER, np.array([1.0, 0.0]), 0.2), checks(ONE, OTHER, 0.1), plaid(ONE, OTHER, 0.2),
        dots(ONE, OTHER, 0.1), mottled(ONE, OTHER, 0.2, np.random.default_rng(0)),
    ],
)  # fmt: skip
def test_patterns_show_both_colors(texture):
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60)), -1).reshape(-1, 2)
    redness = texture(grid)[:, 0]
    assert redness.max() > 0.7
    assert redness.min() < 0.5


def test_stripes_repeat_with_their_period():
    points = np.random.default_rng(0).random((100, 2))
    texture = stripes(ONE, OTHER, np.array([0.0, 1.0]), 0.25)
    np.testing.assert_array_equal(texture(points), texture(points + np.array([0.37, 0.25])))


def test_a_plain_color_is_plain():
    np.testing.assert_array_equal(plain(ONE)(np.zeros((4, 3))), np.tile(ONE, (4, 1)))


def test_colors_are_as_strong_as_asked():
    rng = np.random.default_rng(0)
    for strength in (0.2, 0.6):
        colors = np.array([sample_color(rng, strength=strength) for _ in range(2000)])
        saturation = 1 - colors.min(1) / colors.max(1)
        assert saturation.mean() == pytest.approx(strength, abs=0.03)
        assert colors.min() >= 0
        assert colors.max() <= 0.95
