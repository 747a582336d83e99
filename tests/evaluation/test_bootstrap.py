"""Intervals of means."""

import numpy as np
import pytest
from scipy import stats

from spinloop.evaluation.bootstrap import mean_interval


def test_interval_of_independent_samples_agrees_with_the_normal_theory(rng):
    values = rng.normal(60.0, 12.0, 400)
    interval = mean_interval(values, np.arange(400), 0.95, 4000, rng)
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20.0
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15)


def test_interval_agrees_with_scipys_bootstrap(rng):
    values = rng.exponential(30.0, 150)
    ours = mean_interval(values, np.arange(150), 0.9, 4000, rng)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=rng
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.5)


def test_frames_of_one_sequence_are_not_independent(rng):
    level = np.repeat(rng.normal(60.0, 10.0, 12), 30)
    values = level + rng.normal(0.0, 1.0, 360)
    alone = mean_interval(values, np.arange(360), 0.95, 500, rng)
    together = mean_interval(values, np.repeat(np.arange(12), 30), 0.95, 500, rng)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_same_seed_gives_the_same_interval(rng):
    values, groups = rng.normal(size=50), rng.integers(0, 9, 50)
    first, second = (mean_interval(values, groups, 0.95, 100, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_equal_values_have_an_interval_of_no_width(rng):
    assert mean_interval(np.zeros(5), np.arange(5), 0.95, 50, rng) == (0.0, 0.0, 0.0)


def test_no_samples_is_refused(rng):
    with pytest.raises(ValueError, match="no samples"):
        mean_interval(np.empty(0), np.empty(0), 0.95, 10, rng)
