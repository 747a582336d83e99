"""The tables of the report.

Tables of fits: of training images against their truth, of test images against the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.body.files import PART_NAMES
from spinloop.reporting.results import Counted, Setting, Split, estimate, made_from
from spinloop.reporting.sentences import percent
from spinloop.reporting.table import Column, Estimate, Row, Table

METRIC_TITLES = {
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "mpjpe_mm": "MPJPE, mm",
    "pve_mm": "PVE, mm",
    "pck_percent": "PCK, %",
    "auc_percent": "AUC, %",
    "pa_pck_percent": "Aligned: PCK, %",
    "pa_auc_percent": "Aligned: AUC, %",
    "mask_accuracy_percent": "Mask accuracy, %",
    "mask_f1": "Mask F1",
    "parts_accuracy_percent": "Parts accuracy, %",
    "parts_f1": "Parts F1",
}
_MOST_SEQUENCES = 8


def breakdown_tables(settings: Sequence[Setting], splits: Sequence[Split]) -> list[Table]:
    """The last training's numbers by activity, scene and sequence, where the data name them."""
    tables, last = [], settings[-1]
    for split in splits:
        result = last.results.get(split.key, {"by": {}})
        for kind, groups in result["by"].items():
            # Many short sequences say more as an interval than as a list.
            if len(groups) < 2 or (kind == "sequence" and len(groups) > _MOST_SEQUENCES):
                continue
            names = [name for name in METRIC_TITLES if name in next(iter(groups.values()))]
            rows = [
                Row((label, group["n"], *(group[name] for name in names)), split.origin, split.dataset)
                for label, group in groups.items()
            ]
            titles = [Column(name, METRIC_TITLES[name]) for name in names]
            columns = (Column(kind, kind.capitalize()), Column("n", "People"), *titles)
            title = f"By {kind} ({split.label}; {last.label})"
            tables.append(
                Table(f"by_{kind}_{split.key}", title, columns, tuple(rows), lineage=made_from(result))
            )
    return tables


def parts_table(settings: Sequence[Setting], split: Split) -> Table:
    """F1 of each body part on a split whose masks are compared."""
    known = [setting for setting in settings if split.key in setting.results]
    names = ("background", *PART_NAMES)
    rows = [
        Row(
            (name.replace("_", " "), *(s.results[split.key]["parts"][name]["f1"] for s in known)),
            split.origin,
            split.dataset,
        )
        for name in names
    ]
    columns = (Column("part", "Part"), *(Column(f"{s.name}_f1", f"F1, {s.label}", 3) for s in known))
    made = made_from(*(setting.results[split.key] for setting in known))
    return Table(f"parts_{split.key}", f"F1 by part ({split.label})", columns, tuple(rows), (), made)


def counts_table(key: str, title: str, heading: str, counted: Counted) -> Table:
    """Names and how often each occurs, with the share."""
    counts = counted.numbers
    total = sum(counts.values())
    rows = [Row((name.replace("_", " "), count, 100.0 * count / total)) for name, count in counts.items()]
    rows.append(Row(("all", total, 100.0)))
    columns = (Column("name", heading), Column("n", "People"), Column("percent", "%"))
    return Table(key, title, columns, tuple(rows), lineage=counted.lineage)


def stats_table(stats: Mapping[str, Mapping[str, Any]], lineage: str) -> Table:
    """What each stage read and kept, what it left out, and what it noted of those it kept.

    Args:
        stats: name of the step → the statistics that the stage wrote.
        lineage: what they were read from.
    """
    rows = []
    for name, numbers in stats.items():
        texts = (_reasons(numbers[key]) for key in ("left_out", "noted"))
        rows.append(Row((name, numbers["read"], numbers["kept"], *(text or "nothing" for text in texts))))
    columns = (
        Column("step", "Step"),
        Column("read", "Read"),
        Column("kept", "Kept"),
        Column("left_out", "Left out"),
        Column("noted", "Noted"),
    )
    return Table("data", "What was read and what was kept", columns, tuple(rows), lineage=lineage)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items())


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
