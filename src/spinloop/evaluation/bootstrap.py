"""Intervals of a mean by resampling: percentile bootstrap over groups of samples."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, Shaped


class Interval(NamedTuple):
    """A mean and the bounds between which it lies with the stated confidence."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: Float[np.ndarray, " N"],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """Mean of `values` with its bootstrap interval.

    Whole groups are drawn with replacement, since frames of one sequence resemble each other; the mean of a
    draw is over all its samples.

    Args:
        values: one number per sample.
        groups: label of each sample's group; distinct labels make samples independent.
        confidence: probability that the interval holds, in (0, 1).
        n_resamples: number of draws.
        rng: where the draws come from.

    Raises:
        ValueError: there is no sample.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, sec. 13.3.
    """
    if not len(values):
        raise ValueError("no samples to average")
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, weights=values.astype(np.float64))
    counts = np.bincount(member).astype(np.float64)
    n_groups = len(sums)
    means = np.empty(n_resamples)
    for index in range(n_resamples):
        drawn = rng.integers(0, n_groups, n_groups)
        means[index] = sums[drawn].sum() / counts[drawn].sum()
    return _interval(float(values.mean(dtype=np.float64)), means, confidence)


def total_interval(
    counts: Num[np.ndarray, "N K"],
    statistic: Callable[[Float[np.ndarray, "R K"]], Float[np.ndarray, " R"]],
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """A number made from counts of a whole set (a ratio of sums) with its bootstrap interval.

    Args:
        counts: of each sample; samples are independent.
        statistic: from sums over samples, one row for each draw, to the number of each.
        confidence: probability that the interval holds, in (0, 1).
        n_resamples: number of draws.
        rng: where the draws come from.

    Raises:
        ValueError: there is no sample.
    """
    if not len(counts):
        raise ValueError("no samples to add up")
    exact = counts.astype(np.float64)
    drawn = rng.multinomial(len(exact), np.full(len(exact), 1 / len(exact)), n_resamples)
    whole = statistic(exact.sum(0, keepdims=True))
    return _interval(float(whole[0]), statistic(drawn @ exact), confidence)


def _interval(value: float, found: Float[np.ndarray, " R"], confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))
