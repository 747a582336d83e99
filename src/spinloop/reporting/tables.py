"""The tables of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.reporting.published import Published
from spinloop.reporting.results import Setting, Split, estimate
from spinloop.reporting.table import Column, Row, Table
from spinloop.reporting.verdict import percent

_MIRROR_NOTE = (
    "Published numbers are of real people in 3DPW; mirror numbers are of rendered people. They are not "
    "measured on the same images and must not be compared with each other.",
)


def table_1(published: Published, settings: Sequence[Setting], test: Split) -> Table:
    """Table 1 of the paper: published rows on 3DPW, then ours, in columns of their own.

    Args:
        published: numbers of others.
        settings: our trainings.
        test: what ours were measured on.
    """
    theirs = published.of(test.reader)
    rows = [
        Row(
            (row.method, row.values["pa_mpjpe_mm"], None, None, None, row.citation),
            "published",
            test.dataset,
        )
        for row in theirs
    ]
    for setting in settings:
        cells = [estimate(setting.metrics, name) for name in ("pa_mpjpe_mm", "mpjpe_mm", "pve_mm")]
        rows.append(Row((f"spinloop, {setting.label}", None, *cells, "this run"), test.origin, test.dataset))
    ours = "Mirror" if test.is_mirror else "This run"
    cited = sorted({row.source for row in theirs})
    return Table(
        "table1",
        f"Table 1. Error on {test.dataset} as published, and of this run on the {test.label}",
        (
            Column("method", "Method"),
            Column("published_pa_mpjpe_mm", f"Published, {test.dataset}: PA-MPJPE, mm"),
            Column("pa_mpjpe_mm", f"{ours}: PA-MPJPE, mm"),
            Column("mpjpe_mm", f"{ours}: MPJPE, mm"),
            Column("pve_mm", f"{ours}: PVE, mm"),
            Column("source", "Source"),
        ),
        tuple(rows),
        (
            *(_MIRROR_NOTE if test.is_mirror else ()),
            *_interval_notes(settings[0].metrics),
            *(f"{key}: {published.sources[key]}." for key in cited),
        ),
    )


def fits_table(settings: Sequence[Setting], train: Split) -> Table:
    """The fits of the training images against their truth, before and after training.

    Args:
        settings: our trainings.
        train: what they were trained on.
    """
    first = settings[0].fits
    start = [estimate(first, "initial_pa_mpjpe_mm"), first["initial_pa_mpjpe_median_mm"]]
    start += [estimate(first, "initial_mpjpe_mm"), None, None, None]
    rows = [Row(("SMPLify from the mean pose", first["n_compared"], *start), train.origin, train.dataset)]
    for setting in settings:
        fits = setting.fits
        cells = (
            f"Dictionary after training, {setting.label}",
            fits["n_compared"],
            estimate(fits, "final_pa_mpjpe_mm"),
            fits["final_pa_mpjpe_median_mm"],
            estimate(fits, "final_mpjpe_mm"),
            estimate(fits, "change_pa_mpjpe_mm"),
            fits["improved_percent"],
            fits["worsened_percent"],
        )
        rows.append(Row(cells, train.origin, train.dataset))
        if fits["new_n"]:
            new = (f"First fit while training, {setting.label}", fits["new_n"], fits["new_pa_mpjpe_mm"])
            rows.append(Row((*new, None, None, None, None, None), train.origin, train.dataset))
    return Table(
        "fits",
        f"The dictionary of fits against the truth of the training images ({train.label})",
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
            "Training never sees this truth. Dictionaries are compared over the people who had a fit both "
            "before and after; people who got their first fit while training stand in a row of their own.",
            "MPJPE includes the turn between the crop's camera, in whose axes a fit stands, and the "
            "picture's.",
            f"Brackets: {percent(first['confidence'])} bootstrap interval over people.",
        ),
    )


def counts_table(key: str, title: str, heading: str, counts: Mapping[str, int]) -> Table:
    """Names and how often each occurs, with the share."""
    total = sum(counts.values())
    rows = [Row((name.replace("_", " "), count, 100.0 * count / total)) for name, count in counts.items()]
    rows.append(Row(("all", total, 100.0)))
    return Table(
        key, title, (Column("name", heading), Column("n", "People"), Column("percent", "%")), tuple(rows)
    )


def stats_table(stats: Mapping[str, Mapping[str, Any]]) -> Table:
    """What each stage read and kept, what it left out, and what it noted of those it kept.

    Args:
        stats: name of the step → the statistics that the stage wrote.
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
    return Table("data", "What was read and what was kept", columns, tuple(rows))


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items())


def _interval_notes(metrics: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"Protocol {metrics['protocol']}, {metrics['n']:,} people in {metrics['n_groups']:,} sequences. "
        f"Brackets: {percent(metrics['confidence'])} bootstrap interval, whole sequences resampled.",
        "One training run per setting: the interval speaks of other test images, not of another run.",
    )
