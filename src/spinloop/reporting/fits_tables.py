"""Tables of fits: of training images against their truth, of test images against the network."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from spinloop.reporting.results import Setting, Split, estimate, made_from
from spinloop.reporting.table import Column, Estimate, Row, Table
from spinloop.reporting.verdict import percent

START_LABELS = {"mean": "mean pose", "lifted": "lifted"}


def starts_table(starts: Mapping[str, Any], settings: Sequence[Setting], train: Split) -> Table:
    """The fits of the training images against their truth: offline, and the dictionary at the end.

    Args:
        starts: what `evaluate_starts` wrote of this split.
        settings: our trainings.
        train: the training split.
    """
    rows = []
    for start in sorted(starts["starts"], key=lambda name: (name != starts["first"], name)):
        fits = starts["starts"][start]
        name, median = f"SMPLify ({START_LABELS.get(start, start)})", fits["pa_mpjpe_median_mm"]
        change = None if start == starts["first"] else estimate(fits, "change_pa_mpjpe_mm")
        rows.append(_fits_row(name, fits["n_compared"], fits, "", median, change, (None, None), train))
    found = [setting.fits[train.key] for setting in settings if train.key in setting.fits]
    for setting in settings:
        fits = setting.fits.get(train.key)
        if fits is None:
            continue
        shares = (fits["improved_percent"], fits["worsened_percent"])
        change = estimate(fits, "change_pa_mpjpe_mm")
        name, median = f"Dictionary at the end, {setting.label}", fits["final_pa_mpjpe_median_mm"]
        rows.append(_fits_row(name, fits["n_compared"], fits, "final_", median, change, shares, train))
        if fits["new_n"]:
            new = (f"First fit while training, {setting.label}", fits["new_n"], fits["new_pa_mpjpe_mm"])
            rows.append(Row((*new, None, None, None, None, None), train.origin, train.dataset))
    return Table(
        f"fits_{train.key}",
        f"Fits of the training images against their truth ({train.label})",
        (
            Column("fits", "Fits"),
            Column("n", "People"),
            Column("pa_mpjpe_mm", "PA-MPJPE, mm"),
            Column("pa_mpjpe_median_mm", "Median"),
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


def _fits_row(
    name: str,
    n: int,
    fits: Mapping[str, Any],
    prefix: str,
    median: float,
    change: Estimate | None,
    shares: tuple[float | None, float | None],
    train: Split,
) -> Row:
    errors = (estimate(fits, f"{prefix}pa_mpjpe_mm"), median, estimate(fits, f"{prefix}mpjpe_mm"))
    return Row((name, n, *errors, change, *shares), train.origin, train.dataset)


def refits_table(settings: Sequence[Setting], splits: Sequence[Split]) -> Table | None:
    """Fit against network on the same test people, for every split with 2D joints; None if there is none.

    Args:
        settings: our trainings.
        splits: test splits.
    """
    rows, found = [], []
    for split, setting in product(splits, settings):
        fits = setting.refits.get(split.key, {"n": 0})
        if not fits["n"]:
            continue
        found.append(fits)
        metric, title = _main_metric(fits)
        cells = [estimate(fits, f"{way}_{metric}") for way in ("network", "from_network", "from_mean")]
        pixels = [fits[f"{way}_reprojection_px2"] for way in ("network", "from_network")]
        change = estimate(fits, f"change_{metric}")
        named = (f"{split.label}, {setting.label}", title, fits["n"])
        rows.append(Row((*named, *cells, change, *pixels), split.origin, split.dataset))
    if not rows:
        return None
    columns = (
        Column("data", "Test images and network"),
        Column("metric", "Metric"),
        Column("n", "People"),
        Column("network", "Network", 2),
        Column("from_network", "SMPLify from network", 2),
        Column("from_mean", "SMPLify (mean pose)", 2),
        Column("change", "Fit minus network", 2),
        Column("network_reprojection_px2", "Reprojection, network, px²"),
        Column("from_network_reprojection_px2", "Reprojection, fit, px²"),
    )
    note = (
        "The fits see the annotated 2D joints of the test image, the network does not; the same people in "
        "every column. Reprojection: robust error, mean over the 49 joints, each body placed where it "
        "reprojects best."
    )
    return Table(
        "refits", "Fit versus network on test images", columns, tuple(rows), (note,), made_from(*found)
    )


def _main_metric(numbers: Mapping[str, Any]) -> tuple[str, str]:
    """Name and title of the metric that stands for a protocol."""
    if "network_pa_mpjpe_mm" in numbers:
        return "pa_mpjpe_mm", "PA-MPJPE, mm"
    return "parts_f1", "Parts F1"
