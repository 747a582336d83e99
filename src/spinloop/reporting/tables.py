"""The tables of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.body.files import PART_NAMES
from spinloop.reporting.results import Counted, Setting, Split, made_from
from spinloop.reporting.table import Column, Row, Table

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
