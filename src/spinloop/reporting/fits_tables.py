"""Tables of fits: of training images against their truth, of test images against the network."""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.reporting.results import Setting, Split, estimate, made_from
from spinloop.reporting.table import Column, Estimate, Row, Table
from spinloop.reporting.verdict import percent

START_LABELS = {"mean": "mean pose", "lifted": "lifted"}


def starts_table(starts: Mapping[str, Any], train: Split) -> Table:
    """What the offline fits of the training images began with and what became of it, by start.

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
        rows.append(Row(cells, train.origin, train.dataset))
    return Table(
        f"starts_{train.key}",
        f"Starts of the offline fits ({train.label})",
        (
            Column("start", "Start"),
            Column("n", "People"),
            Column("initial_reprojection_px2", "Reprojection before, px²"),
            Column("final_reprojection_px2", "after, px²"),
            Column("initial_pa_mpjpe_mm", "PA-MPJPE before, mm"),
            Column("final_pa_mpjpe_mm", "after, mm"),
            Column("final_pa_mpjpe_p95_mm", "after, 95th percentile, mm"),
            Column("failed_percent", "Failed, % of all"),
        ),
        tuple(rows),
        (
            "Means over the people who have a fit from every start. Reprojection: robust error, mean over "
            "the 49 joints, each body placed where it reprojects best. Failed: reprojection or shape beyond "
            "the limits, or too few joints.",
        ),
        made_from(starts),
    )


def fits_table(starts: Mapping[str, Any], settings: Sequence[Setting], train: Split) -> Table:
    """The fits of the training images against their truth: offline, and the dictionary at the end.

    Args:
        starts: what `evaluate_starts` wrote of this split.
        settings: our trainings.
        train: the training split.
    """
    rows = []
    for start, fits in _in_order(starts):
        change = _mean(fits["change_pa_mpjpe_mm"]) if "change_pa_mpjpe_mm" in fits else None
        aligned, direct = fits["final_pa_mpjpe_mm"], fits["final_mpjpe_mm"]
        errors = (_mean(aligned), aligned["median"], _mean(direct))
        cells = (_start_label(start), starts["n_compared"], *errors, change, None, None)
        rows.append(Row(cells, train.origin, train.dataset))
    found = [setting.fits[train.key] for setting in settings if train.key in setting.fits]
    for setting in settings:
        fits = setting.fits.get(train.key)
        if fits is None:
            continue
        shares = (fits["improved_percent"], fits["worsened_percent"])
        change, median = estimate(fits, "change_pa_mpjpe_mm"), fits["final_pa_mpjpe_median_mm"]
        errors = (estimate(fits, "final_pa_mpjpe_mm"), median, estimate(fits, "final_mpjpe_mm"))
        cells = (f"Dictionary at the end ({setting.label})", fits["n_compared"], *errors, change, *shares)
        rows.append(Row(cells, train.origin, train.dataset))
        if fits["new_n"]:
            new = (f"First fit while training ({setting.label})", fits["new_n"], fits["new_pa_mpjpe_mm"])
            rows.append(Row((*new, None, None, None, None, None), train.origin, train.dataset))
    return Table(
        f"fits_{train.key}",
        f"Fits of the training images against their truth ({train.label})",
        (
            Column("fits", "Fits"),
            Column("n", "People"),
            Column("pa_mpjpe_mm", "PA-MPJPE, mm"),
            Column("pa_mpjpe_median_mm", "Median of it, mm"),
            Column("mpjpe_mm", "MPJPE, mm"),
            Column("change_pa_mpjpe_mm", "Change of PA-MPJPE, mm"),
            Column("improved_percent", "Improved, %"),
            Column("worsened_percent", "Worsened, %"),
        ),
        tuple(rows),
        (
            "Training never sees this truth. A dictionary is compared with the fits it began with, over the "
            "people who had a fit both before and after; people who got their first fit while training stand "
            "in a row of their own. Starts are compared with the first one, over the people who have a fit "
            "from every start.",
            "MPJPE includes the turn between the crop's camera, in which a fit stands, and the picture's.",
            f"Brackets: {percent(starts['confidence'])} bootstrap interval over people.",
        ),
        made_from(starts, *found),
    )


def _in_order(starts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The starts, that which the others are compared with first."""
    return sorted(starts["starts"].items(), key=lambda item: (item[0] != starts["first"], item[0]))


def _start_label(start: str) -> str:
    return f"SMPLify ({START_LABELS.get(start, start)})"


def _mean(numbers: Mapping[str, float]) -> Estimate:
    return Estimate(numbers["mean"], numbers["low"], numbers["high"])


def refits_table(fits: Mapping[str, Any], settings: Sequence[Setting], split: Split) -> Table:
    """Fits of the same test people from every start; where it is a network, the network beside them.

    Args:
        fits: what `fit_predictions` wrote of this split.
        settings: our trainings.
        split: the test split.
    """
    metric, title = _main_metric(fits)
    rows = []
    for label, start in refit_rows(fits, settings):
        pairs = [start.get(way, {}) for way in ("network", "fit")]
        cells = [estimate(numbers, metric) for numbers in (*pairs, start.get("change", {}))]
        pixels = [numbers.get("reprojection_px2") for numbers in pairs]
        rows.append(Row((label, *cells, *pixels), split.origin, split.dataset))
    columns = (
        Column("fit_from", "Fit"),
        Column(f"network_{metric}", f"Network: {title}"),
        Column(f"fit_{metric}", f"Fit: {title}"),
        Column(f"change_{metric}", "Fit minus network"),
        Column("network_reprojection_px2", "Network: reprojection, px²"),
        Column("fit_reprojection_px2", "Fit: reprojection, px²"),
    )
    notes = (
        f"The same {fits['n']:,} people in every row. The fits see the annotated 2D joints of the test "
        "image, the network does not. Reprojection: robust error, mean over the 49 joints, each body placed "
        "where it reprojects best.",
    )
    title = f"Fit versus network ({split.label})"
    return Table(f"refits_{split.key}", title, columns, tuple(rows), notes, made_from(fits))


def refit_rows(
    fits: Mapping[str, Any], settings: Sequence[Setting]
) -> list[tuple[str, Mapping[str, Mapping[str, float]]]]:
    """Name of each start and its numbers, starts without a network first.

    Args:
        fits: what `fit_predictions` wrote of a test split.
        settings: our trainings.

    Returns:
        Each with `fit`, and from a network with `network` and `change`.
    """
    alone = [(_start_label(start), {"fit": fits["starts"][start]}) for start in START_LABELS]
    networks = fits["networks"]
    ours = [
        (f"SMPLify from network ({each.label})", networks[each.name])
        for each in settings
        if each.name in networks
    ]
    return [*alone, *ours]


def _main_metric(numbers: Mapping[str, Any]) -> tuple[str, str]:
    """Name and title of the metric that stands for a protocol."""
    known = next(iter(numbers["starts"].values()))
    return ("pa_mpjpe_mm", "PA-MPJPE, mm") if "pa_mpjpe_mm" in known else ("parts_f1", "Parts F1")
