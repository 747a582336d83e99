"""What repeated trainings say: means over seeds with intervals, and differences seed by seed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


class Trial(NamedTuple):
    """One training and what was measured of it."""

    variant: str
    seed: int
    metrics: dict[str, float]
    """Millimetres."""


class Estimate(NamedTuple):
    """A mean over seeds and its interval, by Student's distribution; no interval of a single seed."""

    mean: float
    low: float
    high: float

    def words(self) -> str:
        """For a table."""
        if not np.isfinite([self.low, self.high]).all():
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and interval of a few values."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Estimate(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half)


def by_variant(trials: Sequence[Trial], metric: str) -> dict[str, dict[int, float]]:
    """Values of a metric: variant → seed → value; both in the order of the trials."""
    found: dict[str, dict[int, float]] = {}
    for trial in trials:
        found.setdefault(trial.variant, {})[trial.seed] = trial.metrics[metric]
    return found


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate:
    """Ours minus theirs over the seeds that both have; equal seeds see equal images from equal weights."""
    return estimate([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def markdown(trials: Sequence[Trial], baseline: str, lineage: Mapping[str, str]) -> str:
    """A table of all variants and metrics, and where it comes from.

    Args:
        trials: finished ones.
        baseline: the variant that the others are compared with.
        lineage: what the numbers were made from.
    """
    metrics = list(trials[0].metrics)
    heads = [cell for metric in metrics for cell in (metric, f"against {baseline}")]
    lines = [_row(["variant", "seeds", *heads]), _row(["---"] * (2 + len(heads)))]
    tables = {metric: by_variant(trials, metric) for metric in metrics}
    for variant, seeds in tables[metrics[0]].items():
        cells = [variant, str(len(seeds))]
        for metric in metrics:
            ours, theirs = tables[metric][variant], tables[metric].get(baseline, {})
            shared = variant != baseline and set(ours) & set(theirs)
            cells += [estimate(list(ours.values())).words()]
            cells += [difference(ours, theirs).words() if shared else ""]
        lines.append(_row(cells))
    said = f"Means over seeds with {CONFIDENCE:.0%} intervals (Student); mm; less is better."
    made = [f"* {name}: `{value}`" for name, value in lineage.items()]
    return "\n".join([said, "", *lines, "", *made, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
