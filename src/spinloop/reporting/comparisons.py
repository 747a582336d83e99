"""Which trainings are compared with each other, and what came out on each test split.

What repeated trainings say: means over seeds with intervals, and differences seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from spinloop.reporting.results import Setting, Split, made_from
from spinloop.reporting.sentences import Change, compare_on, percent
from spinloop.reporting.table import Column, Estimate, Row, Table

METRIC_NAMES = {"pa_mpjpe_mm": "PA-MPJPE, mm", "parts_f1": "Parts F1"}


@dataclass(frozen=True)
class Comparison:
    """One training against another."""

    first: Setting
    second: Setting
    changes: Mapping[str, Change]
    """Test split → the second's error minus the first's, person by person."""


def pairs(settings: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Trainings that differ in one choice alone: with the loop against without, with 3D against without.

    Where none do, the last is compared with the first.
    """
    found = [
        (one, other)
        for choice, same in (("loop", "use_3d"), ("use_3d", "loop"))
        for one in settings
        for other in settings
        if getattr(other, choice) > getattr(one, choice) and getattr(one, same) == getattr(other, same)
    ]
    return found or [(settings[0], settings[-1])][: len(settings) - 1]


def comparison_sentences(
    comparisons: Sequence[Comparison], tests: Sequence[Split], confidence: float
) -> list[str]:
    """Each comparison over all test splits in a sentence.

    Args:
        comparisons: what was compared.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    compared = [split for split in tests if any(split.key in each.changes for each in comparisons)]
    are_mirrors = all(split.is_mirror for split in compared)
    images = "the mirrors' test images" if are_mirrors else "test images"
    sentences: list[str] = []
    for each in comparisons:
        # Commas part the names here.
        names = {
            split.key: (split.place if are_mirrors else split.label).replace(",", "") for split in compared
        }
        found = [(name, each.changes[key]) for key, name in names.items() if key in each.changes]
        sentences += compare_on(each.first.phrase, each.second.phrase, images, found, confidence)
    return sentences


def comparisons_table(
    comparisons: Sequence[Comparison], tests: Sequence[Split], confidence: float
) -> Table | None:
    """Every comparison on every test split; None if there is none.

    Args:
        comparisons: what was compared.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    rows = []
    for split in tests:
        changes = [each.changes.get(split.key) for each in comparisons]
        known = [change for change in changes if change is not None]
        if known:
            digits = 3 if known[0].metric.endswith("f1") else 1
            cells = [
                None if each is None else Estimate(each.mean, each.low, each.high, digits) for each in changes
            ]
            named = (split.label, METRIC_NAMES[known[0].metric], known[0].n)
            rows.append(Row((*named, *cells), split.origin, split.dataset))
    if not rows:
        return None
    columns = [
        Column(f"{each.second.name}_minus_{each.first.name}", f"{each.second.label} minus {each.first.label}")
        for each in comparisons
    ]
    notes = (
        "The same images on both sides, person by person. Of PA-MPJPE less is better, of F1 more. Brackets: "
        f"{percent(confidence)} bootstrap interval, whole sequences resampled; one that holds 0 shows no "
        "difference. One run of each training: the interval speaks of other test images, not of another run.",
    )
    compared = {setting.name: setting for each in comparisons for setting in (each.first, each.second)}
    found = [setting.results.get(split.key) for setting in compared.values() for split in tests]
    return Table(
        "comparisons",
        "Differences between the trainings on test images",
        (Column("data", "Test images"), Column("metric", "Metric"), Column("n", "People"), *columns),
        tuple(rows),
        notes,
        made_from(*found),
    )


CONFIDENCE = 0.95


class Trial(NamedTuple):
    """One training and what was measured of it."""

    variant: str
    seed: int
    metrics: dict[str, float]
    """Millimetres."""


class SeedEstimate(NamedTuple):
    """A mean over seeds and its interval, by Student's distribution; no interval of a single seed."""

    mean: float
    low: float
    high: float

    def words(self) -> str:
        """For a table."""
        if not np.isfinite([self.low, self.high]).all():
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


def estimate(values: Sequence[float]) -> SeedEstimate:
    """Mean and interval of a few values."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return SeedEstimate(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return SeedEstimate(mean, mean - half, mean + half)


def by_variant(trials: Sequence[Trial], metric: str) -> dict[str, dict[int, float]]:
    """Values of a metric: variant → seed → value; both in the order of the trials."""
    found: dict[str, dict[int, float]] = {}
    for trial in trials:
        found.setdefault(trial.variant, {})[trial.seed] = trial.metrics[metric]
    return found


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> SeedEstimate:
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
