"""Tables and charts of fits: of training images against their truth, of test images against the network."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spinloop.reporting.charts import LineChart, Series, points_of
from spinloop.reporting.differences import PairedDifference
from spinloop.reporting.results import SplitInfo, TrainingResults, made_from
from spinloop.reporting.splits import FittedSplit
from spinloop.reporting.tables import METRIC_TITLES, Estimate, Table, TableColumn, TableRow, estimate, percent
from spinloop.tables.fits import ORIGINS, STATUSES

START_LABELS = {"mean": "mean pose", "lifted": "lifted"}


def dictionary_sentence(trainings: Sequence[TrainingResults], train: SplitInfo) -> str:
    """How the dictionaries at the end of training in the loop compare with the initial fits; may be empty."""
    parts = []
    for training in trainings:
        if training.loop and train.key in training.fits:
            fits, name = training.fits[train.key], "change_pa_mpjpe_mm"
            change = PairedDifference(
                fits[name], fits[f"{name}_low"], fits[f"{name}_high"], fits["n_compared"]
            )
            described = change.describe(fits["confidence"])
            parts.append(f"{described} after {fits['steps']:,} steps of {training.phrase}")
    start = f"Best fits of training images ({train.label}) against the initial fits, PA-MPJPE"
    return f"{start}: {'; '.join(parts)}." if parts else ""


def dictionary_charts(trainings: Sequence[TrainingResults], train: SplitInfo) -> list[LineChart]:
    """Mean and median error of the dictionary of a training split over training."""
    charts = []
    for column, title in (("pa_mpjpe_mm", "mean"), ("pa_mpjpe_median_mm", "median")):
        series = [
            Series(each.label, *points_of(each.dictionary[train.key], column), each.color)
            for each in trainings
            if train.key in each.dictionary
        ]
        if series:
            name = f"Dictionary against truth, {title} PA-MPJPE ({train.label})"
            key = f"dictionary_{title}_{train.key}"
            charts.append(LineChart(key, name, "training step", f"{title} PA-MPJPE, mm", tuple(series)))
    return charts


def starts_table(starts: Mapping[str, Any], train: SplitInfo) -> Table:
    """Errors of the offline fits of the training images before and after fitting, by start.

    Args:
        starts: what `evaluate_starts` wrote of this split.
        train: the training split.
    """
    keys = ("reprojection_px2", "pa_mpjpe_mm")
    rows = []
    for start, fits in _in_order(starts):
        pairs = [fits[f"{when}_{key}"]["mean"] for key in keys for when in ("initial", "final")]
        name, tail = _start_label(start), fits["final_pa_mpjpe_mm"]["p95"]
        cells = (name, starts["n_compared"], *pairs, tail, fits["failed_percent"])
        rows.append(TableRow(cells, train.origin, train.dataset))
    return Table(
        f"starts_{train.key}",
        f"Starts of the offline fits ({train.label})",
        (
            TableColumn("start", "Start"),
            TableColumn("n", "People"),
            TableColumn("initial_reprojection_px2", "Reprojection before, px²"),
            TableColumn("final_reprojection_px2", "after, px²"),
            TableColumn("initial_pa_mpjpe_mm", "PA-MPJPE before, mm"),
            TableColumn("final_pa_mpjpe_mm", "after, mm"),
            TableColumn("final_pa_mpjpe_p95_mm", "after, 95th percentile, mm"),
            TableColumn("failed_percent", "Failed, % of all"),
        ),
        tuple(rows),
        (
            "Means over the people who have a fit from every start. Reprojection: robust error, mean over "
            "the 49 joints, each body translated to where it reprojects best. Failed: reprojection error or "
            "shape beyond the limits, or too few joints.",
        ),
        made_from(starts),
    )


def fits_table(starts: Mapping[str, Any], trainings: Sequence[TrainingResults], train: SplitInfo) -> Table:
    """Errors of the fits of the training images: offline, and the dictionary at the end of each training.

    Args:
        starts: what `evaluate_starts` wrote of this split.
        trainings: with what `evaluate_fits` wrote.
        train: the training split.
    """
    rows = []
    for start, fits in _in_order(starts):
        change = _mean(fits["change_pa_mpjpe_mm"]) if "change_pa_mpjpe_mm" in fits else None
        aligned, direct = fits["final_pa_mpjpe_mm"], fits["final_mpjpe_mm"]
        errors = (_mean(aligned), aligned["median"], _mean(direct))
        cells = (_start_label(start), starts["n_compared"], *errors, change, None, None)
        rows.append(TableRow(cells, train.origin, train.dataset))
    known = [training for training in trainings if train.key in training.fits]
    for training in known:
        fits = training.fits[train.key]
        shares = (fits["improved_percent"], fits["worsened_percent"])
        change, median = estimate(fits, "change_pa_mpjpe_mm"), fits["final_pa_mpjpe_median_mm"]
        errors = (estimate(fits, "final_pa_mpjpe_mm"), median, estimate(fits, "final_mpjpe_mm"))
        cells = (f"Dictionary at the end ({training.label})", fits["n_compared"], *errors, change, *shares)
        rows.append(TableRow(cells, train.origin, train.dataset))
        if fits["new_n"]:
            new = (f"First fit while training ({training.label})", fits["new_n"], fits["new_pa_mpjpe_mm"])
            rows.append(TableRow((*new, None, None, None, None, None), train.origin, train.dataset))
    return Table(
        f"fits_{train.key}",
        f"Fits of the training images against their truth ({train.label})",
        (
            TableColumn("fits", "Fits"),
            TableColumn("n", "People"),
            TableColumn("pa_mpjpe_mm", "PA-MPJPE, mm"),
            TableColumn("pa_mpjpe_median_mm", "Median of it, mm"),
            TableColumn("mpjpe_mm", "MPJPE, mm"),
            TableColumn("change_pa_mpjpe_mm", "Change of PA-MPJPE, mm"),
            TableColumn("improved_percent", "Improved, %"),
            TableColumn("worsened_percent", "Worsened, %"),
        ),
        tuple(rows),
        (
            "Training does not use this truth. A dictionary is compared with its initial fits, over the "
            "people who have a fit before and after training; people whose first fit was made during "
            "training have a row of their own. Starts are compared with the first one, over the people who "
            "have a fit from every start.",
            "MPJPE includes the rotation between the axes of the crop's camera, used by a fit, and those of "
            "the image's camera.",
            f"Brackets: {percent(starts['confidence'])} bootstrap interval over people.",
        ),
        made_from(starts, *(training.fits[train.key] for training in known)),
    )


class FitCounts(NamedTuple):
    """How many fits of a file have each status or origin."""

    numbers: Mapping[str, int]
    lineage: str
    """Kind of the file and its hash."""


def status_counts(fitted: FittedSplit) -> FitCounts:
    """How the offline fits ended."""
    numbers = count_names(fitted.before.array("status"), STATUSES)
    return FitCounts(numbers, f"fits before training {fitted.before_sha256}")


def origin_counts(fitted: FittedSplit) -> FitCounts:
    """Which stage made the best fits after training."""
    numbers = count_names(fitted.after.array("origin"), ORIGINS)
    return FitCounts(numbers, f"fits after training {fitted.after_sha256}")


def count_names(numbers: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How often the number of each name occurs; names that never do are left out."""
    counts = Counter(numbers.tolist())
    return {name: counts[position] for position, name in enumerate(names) if counts[position]}


def counts_table(key: str, title: str, heading: str, counts: FitCounts) -> Table:
    """Each name with its count and share."""
    total = sum(counts.numbers.values())
    cells = [(name.replace("_", " "), count, 100.0 * count / total) for name, count in counts.numbers.items()]
    rows = tuple(TableRow(row) for row in (*cells, ("all", total, 100.0)))
    columns = (TableColumn("name", heading), TableColumn("n", "People"), TableColumn("percent", "%"))
    return Table(key, title, columns, rows, lineage=counts.lineage)


def refits_table(fits: Mapping[str, Any], trainings: Sequence[TrainingResults], split: SplitInfo) -> Table:
    """Fits of the same test people from every start, beside the network's prediction that they start from.

    Args:
        fits: what `fit_predictions` wrote of this split.
        trainings: our trainings.
        split: the test split.
    """
    metric = "pa_mpjpe_mm" if "pa_mpjpe_mm" in next(iter(fits["starts"].values())) else "parts_f1"
    title = METRIC_TITLES[metric]
    rows = []
    for label, start in refit_rows(fits, trainings):
        pairs = [start.get(kind, {}) for kind in ("network", "fit")]
        cells = [estimate(numbers, metric) for numbers in (*pairs, start.get("change", {}))]
        pixels = [numbers.get("reprojection_px2") for numbers in pairs]
        rows.append(TableRow((label, *cells, *pixels), split.origin, split.dataset))
    columns = (
        TableColumn("fit_from", "Fit"),
        TableColumn(f"network_{metric}", f"Network: {title}"),
        TableColumn(f"fit_{metric}", f"Fit: {title}"),
        TableColumn(f"change_{metric}", "Fit minus network"),
        TableColumn("network_reprojection_px2", "Network: reprojection, px²"),
        TableColumn("fit_reprojection_px2", "Fit: reprojection, px²"),
    )
    notes = (
        f"The same {fits['n']:,} people in every row. The fits use the annotated 2D joints of the test "
        "image, the network does not. Reprojection: robust error, mean over the 49 joints, each body "
        "translated to where it reprojects best.",
    )
    title = f"Fit versus network ({split.label})"
    return Table(f"refits_{split.key}", title, columns, tuple(rows), notes, made_from(fits))


def refit_rows(
    fits: Mapping[str, Any], trainings: Sequence[TrainingResults]
) -> list[tuple[str, Mapping[str, Mapping[str, float]]]]:
    """Label and metrics of each start, starts without a network first.

    Args:
        fits: what `fit_predictions` wrote of a test split.
        trainings: our trainings.

    Returns:
        The metrics hold `fit`; from a network also `network` and `change`.
    """
    alone = [(_start_label(start), {"fit": fits["starts"][start]}) for start in START_LABELS]
    networks = fits["networks"]
    ours = [
        (f"SMPLify from network ({each.label})", networks[each.name])
        for each in trainings
        if each.name in networks
    ]
    return [*alone, *ours]


def _in_order(starts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The starts by name, after the one that the others are compared with."""
    return sorted(starts["starts"].items(), key=lambda item: (item[0] != starts["first"], item[0]))


def _start_label(start: str) -> str:
    return f"SMPLify ({START_LABELS.get(start, start)})"


def _mean(numbers: Mapping[str, float]) -> Estimate:
    return Estimate(numbers["mean"], numbers["low"], numbers["high"])
