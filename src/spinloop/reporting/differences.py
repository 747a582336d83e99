"""Differences between trainings: over the people of a test split, and over repeats with several seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from tabulate import tabulate

from spinloop.evaluation.protocols import find_protocol
from spinloop.evaluation.scores import stored_scores
from spinloop.evaluation.summaries import Interval, paired_change, sequence_labels
from spinloop.params.evaluation import EvaluateParams
from spinloop.reporting.charts import DotChart, Series
from spinloop.reporting.results import SplitInfo, TrainingResults, made_from
from spinloop.reporting.splits import EvaluatedSplit
from spinloop.reporting.tables import METRIC_TITLES, Estimate, Table, TableColumn, TableRow, percent, signed

Verdict = Literal["better", "worse", "not measurably different"]
# Ends of the names of metrics of which more is better.
_MORE_IS_BETTER = ("percent", "f1")
_SEED_CONFIDENCE = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """A metric of one training minus that of another, over the same people, with its interval."""

    mean: float
    low: float
    high: float
    n: int
    """People."""
    metric: str = "pa_mpjpe_mm"
    """Name of the metric, which says its unit."""

    @property
    def verdict(self) -> Verdict:
        """How the one compares with the other; an interval that holds zero decides nothing."""
        if self.low <= 0 <= self.high:
            return "not measurably different"
        is_more = self.mean > 0
        return "better" if is_more == self.metric.endswith(_MORE_IS_BETTER) else "worse"

    @property
    def text(self) -> str:
        """The difference with its sign and unit."""
        return f"{signed(self.mean)} mm" if self.metric.endswith("_mm") else f"F1 {signed(self.mean, 3)}"

    def describe(self, confidence: float) -> str:
        """A difference in mm, e.g. `6.4 mm better (95 % interval −7.2 to −5.6 mm, n = 9)`."""
        interval = f"{percent(confidence)} interval {signed(self.low)} to {signed(self.high)} mm"
        if self.verdict == "not measurably different":
            start = f"no measurable difference ({signed(self.mean)} mm, "
        else:
            start = f"{abs(self.mean):.1f} mm {self.verdict} ("
        return f"{start}{interval}, n = {self.n:,})"


@dataclass(frozen=True)
class Comparison:
    """One training against another."""

    first: TrainingResults
    second: TrainingResults
    differences: Mapping[str, PairedDifference]
    """Test split → the second's metric minus the first's."""


def comparable_pairs(
    trainings: Sequence[TrainingResults],
) -> list[tuple[TrainingResults, TrainingResults]]:
    """Trainings that differ in one choice only: without and with the loop, without and with 3D.

    If there are none, the first and the last.
    """
    found = [
        (one, other)
        for choice, same in (("loop", "use_3d"), ("use_3d", "loop"))
        for one in trainings
        for other in trainings
        if getattr(other, choice) > getattr(one, choice) and getattr(one, same) == getattr(other, same)
    ]
    return found or [(trainings[0], trainings[-1])][: len(trainings) - 1]


def compare_trainings(
    trainings: Sequence[TrainingResults], evaluated: Sequence[EvaluatedSplit], params: EvaluateParams
) -> list[Comparison]:
    """Compare each pair of `comparable_pairs` on every split that both have predicted."""
    comparisons = []
    for first, second in comparable_pairs(trainings):
        found = {each.split.key: _paired_difference(each, first, second, params) for each in evaluated}
        known = {key: difference for key, difference in found.items() if difference is not None}
        comparisons.append(Comparison(first, second, known))
    return comparisons


def _paired_difference(
    evaluated: EvaluatedSplit, first: TrainingResults, second: TrainingResults, params: EvaluateParams
) -> PairedDifference | None:
    names = [training.name for training in evaluated.trainings]
    if first.name not in names or second.name not in names:
        return None
    protocol, groups = find_protocol(evaluated.split.protocol), sequence_labels(evaluated.records)
    one, other = (
        stored_scores(protocol, evaluated.scored[names.index(each.name)].errors) for each in (first, second)
    )
    interval = paired_change(one, other, evaluated.metric, groups, **params.bootstrap)
    return PairedDifference(*interval, len(evaluated.records), evaluated.metric)


def comparison_sentences(
    comparisons: Sequence[Comparison], tests: Sequence[SplitInfo], confidence: float
) -> list[str]:
    """One sentence for each comparison, over all test splits.

    Args:
        comparisons: pairs of trainings.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    compared = [split for split in tests if any(split.key in each.differences for each in comparisons)]
    are_mirrors = all(split.is_mirror for split in compared)
    images = "the mirrors' test images" if are_mirrors else "test images"
    # The sentence separates the names by commas.
    names = {split.key: (split.subset if are_mirrors else split.label).replace(",", "") for split in compared}
    sentences = []
    for each in comparisons:
        found = [(name, each.differences[key]) for key, name in names.items() if key in each.differences]
        if found:
            sentences.append(
                comparison_sentence(each.first.phrase, each.second.phrase, images, found, confidence)
            )
    return sentences


def comparison_sentence(
    first: str, second: str, images: str, found: Sequence[tuple[str, PairedDifference]], confidence: float
) -> str:
    """How one training compares with another on several test splits.

    Args:
        first: the baseline, as a noun phrase.
        second: the training that is judged, as a noun phrase.
        images: what they were measured on, as a noun phrase.
        found: name of each split and the difference there, at least one.
        confidence: of the intervals, in (0, 1).
    """
    words: dict[Verdict, str] = {
        "better": "better",
        "worse": "worse",
        "not measurably different": "no measurable difference",
    }
    parts = []
    for verdict, said in words.items():
        names = [f"{name} ({each.text})" for name, each in found if each.verdict == verdict]
        if names:
            listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
            parts.append(f"{said} on {listed}")
    kinds = {"PA-MPJPE" if each.metric.endswith("_mm") else "F1 of parts" for _, each in found}
    metrics = " and ".join(sorted(kinds, reverse=True))
    start = f"{second[0].upper()}{second[1:]} against {first}, {metrics} on {images}"
    return f"{start} ({percent(confidence)} intervals): {'; '.join(parts)}."


def comparisons_table(
    comparisons: Sequence[Comparison], tests: Sequence[SplitInfo], confidence: float
) -> Table | None:
    """Every comparison on every test split; None if there is none.

    Args:
        comparisons: pairs of trainings.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    rows = []
    for split in tests:
        found = [each.differences.get(split.key) for each in comparisons]
        known = [difference for difference in found if difference is not None]
        if known:
            digits = 3 if known[0].metric.endswith("f1") else 1
            cells = [
                None if each is None else Estimate(each.mean, each.low, each.high, digits) for each in found
            ]
            named = (split.label, METRIC_TITLES[known[0].metric], known[0].n)
            rows.append(TableRow((*named, *cells), split.origin, split.dataset))
    if not rows:
        return None
    columns = [
        TableColumn(
            f"{each.second.name}_minus_{each.first.name}", f"{each.second.label} minus {each.first.label}"
        )
        for each in comparisons
    ]
    notes = (
        "Differences over the same people. For PA-MPJPE less is better, for F1 more. Brackets: "
        f"{percent(confidence)} bootstrap interval, whole sequences resampled; an interval that holds 0 "
        "shows no difference. One run of each training: the interval covers the choice of test images, not "
        "the randomness of training.",
    )
    compared = {training.name: training for each in comparisons for training in (each.first, each.second)}
    found = [training.results.get(split.key) for training in compared.values() for split in tests]
    return Table(
        "comparisons",
        "Differences between the trainings on test images",
        (
            TableColumn("data", "Test images"),
            TableColumn("metric", "Metric"),
            TableColumn("n", "People"),
            *columns,
        ),
        tuple(rows),
        notes,
        made_from(*found),
    )


def differences_chart(
    comparisons: Sequence[Comparison], tests: Sequence[SplitInfo], confidence: float
) -> DotChart | None:
    """The differences in PA-MPJPE with their intervals; None if no comparison is in mm."""
    compared = [each for each in comparisons if any(_is_in_mm(each, split.key) for split in tests)]
    splits = [split for split in tests if any(_is_in_mm(each, split.key) for each in compared)]
    if not splits:
        return None
    series, absent = [], PairedDifference(math.nan, math.nan, math.nan, 0)
    for number, each in enumerate(compared, 1):
        name = f"{each.second.label} minus {each.first.label}"
        found = [each.differences[split.key] if _is_in_mm(each, split.key) else absent for split in splits]
        intervals = [(difference.low, difference.high) for difference in found]
        series.append(Series(name, (), [difference.mean for difference in found], number, intervals))
    return DotChart(
        "differences",
        f"Differences in PA-MPJPE with {percent(confidence)} intervals; below 0 the first is better",
        tuple(split.subset for split in splits),
        "difference in PA-MPJPE, mm",
        tuple(series),
    )


def _is_in_mm(comparison: Comparison, split: str) -> bool:
    return split in comparison.differences and comparison.differences[split].metric.endswith("_mm")


class Trial(NamedTuple):
    """One run of a variant with one seed, and what was measured of it."""

    variant: str
    seed: int
    metrics: dict[str, float]
    """Millimetres."""


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean over seeds and its interval by Student's t distribution; infinite bounds for a single seed."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Interval(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.5 + _SEED_CONFIDENCE / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def seed_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """Ours minus theirs over the seeds of both; equal seeds share initial weights and order of images."""
    return seed_interval([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def seeds_markdown(trials: Sequence[Trial], baseline: str, lineage: Mapping[str, str]) -> str:
    """A table of all variants and metrics, and what it was made from.

    Args:
        trials: finished runs; at least one.
        baseline: the variant that the others are compared with.
        lineage: what the numbers were made from.
    """
    metrics = list(trials[0].metrics)
    values: dict[str, dict[str, dict[int, float]]] = {}
    for trial in trials:
        for metric, value in trial.metrics.items():
            values.setdefault(trial.variant, {}).setdefault(metric, {})[trial.seed] = value
    rows = []
    for variant, of_metric in values.items():
        cells = [variant, str(len(of_metric[metrics[0]]))]
        for metric in metrics:
            ours, theirs = of_metric[metric], values.get(baseline, {}).get(metric, {})
            is_compared = variant != baseline and set(ours) & set(theirs)
            cells.append(_interval_text(seed_interval(list(ours.values()))))
            cells.append(_interval_text(seed_difference(ours, theirs)) if is_compared else "")
        rows.append(cells)
    titles = ["variant", "seeds", *(title for metric in metrics for title in (metric, f"against {baseline}"))]
    table = tabulate(rows, headers=titles, tablefmt="pipe", disable_numparse=True, stralign="left")
    start = f"Means over seeds with {_SEED_CONFIDENCE:.0%} intervals (Student's t); mm; less is better."
    made = [f"* {name}: `{value}`" for name, value in lineage.items()]
    return "\n".join([start, "", table, "", *made, ""])


def _interval_text(interval: Interval) -> str:
    if not np.isfinite([interval.low, interval.high]).all():
        return f"{interval.mean:.1f}"
    return f"{interval.mean:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
