"""Intervals of a mean by resampling: percentile bootstrap over groups of samples."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


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
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(values.mean(dtype=np.float64)), float(low), float(high))
