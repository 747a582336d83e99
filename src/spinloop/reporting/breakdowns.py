"""Where the errors are: by activity, scene and sequence, by body part and joint, and by occlusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from spinloop.body.files import PART_NAMES
from spinloop.evaluation.protocols import JointProtocol, find_protocol
from spinloop.joints import COMMON24_TO_J17, PROTOCOL17
from spinloop.reporting.charts import DotChart, Series
from spinloop.reporting.results import SplitInfo, TrainingResults, made_from
from spinloop.reporting.splits import EvaluatedSplit
from spinloop.reporting.tables import METRIC_TITLES, Table, TableColumn, TableRow
from spinloop.tables.records import column_array

_MAX_SEQUENCES = 8
# Number of hidden joints in words, and the largest number of each bin.
_HIDDEN_BINS = (("none", 0), ("1 or 2", 2), ("3 to 5", 5), ("6 or more", 17))


def breakdown_tables(trainings: Sequence[TrainingResults], splits: Sequence[SplitInfo]) -> list[Table]:
    """The last training's metrics by activity, scene and sequence, where the data name them."""
    tables, last = [], trainings[-1]
    for split in splits:
        result = last.results.get(split.key, {"by": {}})
        for kind, groups in result["by"].items():
            # For many short sequences the interval says more than a list.
            if len(groups) < 2 or (kind == "sequence" and len(groups) > _MAX_SEQUENCES):
                continue
            names = [name for name in METRIC_TITLES if name in next(iter(groups.values()))]
            rows = [
                TableRow((label, group["n"], *(group[name] for name in names)), split.origin, split.dataset)
                for label, group in groups.items()
            ]
            titles = [TableColumn(name, METRIC_TITLES[name]) for name in names]
            columns = (TableColumn(kind, kind.capitalize()), TableColumn("n", "People"), *titles)
            title = f"By {kind} ({split.label}; {last.label})"
            tables.append(
                Table(f"by_{kind}_{split.key}", title, columns, tuple(rows), lineage=made_from(result))
            )
    return tables


def part_tables(trainings: Sequence[TrainingResults], splits: Sequence[SplitInfo]) -> list[Table]:
    """F1 of each body part on every split whose masks are compared."""
    tables = []
    for split in splits:
        known = [each for each in trainings if split.key in each.results]
        results = [each.results[split.key] for each in known]
        if not any("mask_f1" in result for result in results):
            continue
        rows = [
            TableRow(
                (name.replace("_", " "), *(result["parts"][name]["f1"] for result in results)),
                split.origin,
                split.dataset,
            )
            for name in ("background", *PART_NAMES)
        ]
        columns = [TableColumn(f"{each.name}_f1", f"F1, {each.label}", 3) for each in known]
        tables.append(
            Table(
                f"parts_{split.key}",
                f"F1 by part ({split.label})",
                (TableColumn("part", "Part"), *columns),
                tuple(rows),
                lineage=made_from(*results),
            )
        )
    return tables


def joint_charts(trainings: Sequence[TrainingResults], splits: Sequence[SplitInfo]) -> list[DotChart]:
    """Error of each joint on every test split that measures joints."""
    charts = []
    for split in splits:
        known = [each for each in trainings if "pa_mpjpe_mm" in each.results.get(split.key, {})]
        if not known:
            continue
        parts = known[0].results[split.key]["parts"]
        names = [name for name in PROTOCOL17 if name in parts]
        series = []
        for each in known:
            errors = [each.results[split.key]["parts"][name]["pa_mpjpe_mm"] for name in names]
            series.append(Series(each.label, (), errors, each.color))
        title = f"Error by joint after alignment ({split.label})"
        charts.append(_error_chart(f"joints_{split.key}", title, names, series))
    return charts


@dataclass(frozen=True)
class OcclusionErrors:
    """Errors of visible and hidden joints of one training on one split; mm after Procrustes alignment.

    A joint counts as visible where the detector or annotator has its 2D position.
    """

    label: str
    """Of the training."""
    by_joint: dict[str, tuple[float | None, float | None]]
    """Joint → mean error where it is visible and where it is hidden; None where there is no such person."""
    by_count: dict[str, tuple[int, float]]
    """Number of hidden joints, in words → people, their mean error."""


def occlusion_errors(evaluated: EvaluatedSplit) -> OcclusionErrors | None:
    """Measure the last training's errors by occlusion; None where a split has no 2D or no 3D joints."""
    protocol = find_protocol(evaluated.split.protocol)
    if not isinstance(protocol, JointProtocol):
        return None
    rows = [COMMON24_TO_J17[PROTOCOL17.index(name)] for name in protocol.joints]
    confidence = np.nan_to_num(column_array(evaluated.records, "keypoints")[:, rows, 2])
    errors = evaluated.scored[-1].errors["joint_pa_mpjpe_mm"]
    return split_by_occlusion(evaluated.trainings[-1].label, protocol.joints, errors, confidence > 0)


def split_by_occlusion(
    label: str,
    joints: Sequence[str],
    errors_mm: Float[np.ndarray, "N J"],
    is_visible: Bool[np.ndarray, "N J"],
) -> OcclusionErrors | None:
    """Split errors by whether the joint has a 2D position.

    Args:
        label: of the training.
        joints: names.
        errors_mm: of each joint after alignment.
        is_visible: whether its 2D position is annotated.

    Returns:
        None where the split has no 2D joints.
    """
    if not is_visible.any():
        return None
    by_joint = {
        name: (_mean(errors_mm[is_visible[:, row], row]), _mean(errors_mm[~is_visible[:, row], row]))
        for row, name in enumerate(joints)
    }
    # A joint without any 2D position is not hidden; the split does not annotate it.
    n_hidden = (~is_visible[:, is_visible.any(0)]).sum(1)
    by_count, fewer = {}, -1
    for name, most in _HIDDEN_BINS:
        chosen = (n_hidden > fewer) & (n_hidden <= most)
        fewer = most
        if chosen.any():
            by_count[name] = (int(chosen.sum()), float(errors_mm[chosen].mean()))
    return OcclusionErrors(label, by_joint, by_count)


def occlusion_charts(occlusion: Mapping[str, OcclusionErrors], splits: Sequence[SplitInfo]) -> list[DotChart]:
    """Error of visible and hidden joints, and error by the number of hidden joints.

    Args:
        occlusion: test split → errors by occlusion.
        splits: test splits.
    """
    charts = []
    for split in splits:
        if split.key not in occlusion:
            continue
        known = occlusion[split.key]
        pairs = [(name, pair) for name, pair in known.by_joint.items() if None not in pair]
        if pairs:
            series = [
                Series("visible in 2D", (), [pair[0] or 0.0 for _, pair in pairs], 2),
                Series("hidden or missed", (), [pair[1] or 0.0 for _, pair in pairs], 1),
            ]
            title = f"Error of visible and hidden joints, {known.label} ({split.label})"
            names = [name for name, _ in pairs]
            charts.append(_error_chart(f"occlusion_{split.key}", title, names, series))
        if len(known.by_count) > 1:
            names = [f"{name}, n = {n:,}" for name, (n, _) in known.by_count.items()]
            series = [Series(known.label, (), [mean for _, mean in known.by_count.values()], 1)]
            title = f"Error by number of hidden joints ({split.label})"
            charts.append(_error_chart(f"hidden_{split.key}", title, names, series))
    return charts


def _error_chart(key: str, title: str, names: Sequence[str], series: Sequence[Series]) -> DotChart:
    rows = tuple(name.replace("_", " ") for name in names)
    return DotChart(key, title, rows, "mean error, mm", tuple(series))


def _mean(values: Float[np.ndarray, " N"]) -> float | None:
    return float(values.mean()) if len(values) else None
