"""The charts of the report."""

from collections.abc import Mapping, Sequence

from spinloop.joints import PROTOCOL17
from spinloop.reporting.charts import DotChart, LineChart, Series
from spinloop.reporting.results import Occlusion, Setting, Split

# Loss terms and states of training, as the history names them.
_HISTORY = (
    ("total", "Total loss", "loss", False),
    ("keypoints_2d", "2D keypoints (loss term)", "loss", False),
    ("pose", "Pose (loss term)", "loss", False),
    ("shape", "Shape (loss term)", "loss", False),
    ("accepted", "New fits that replaced the stored one", "share of the batch", True),
    ("valid", "Fits good enough to supervise", "share of the batch", True),
    ("stored_error", "Reprojection error of the dictionary", "px²", False),
)


def training_charts(settings: Sequence[Setting]) -> tuple[LineChart, ...]:
    """Loss terms and state of the dictionary over the steps; a term that nobody reports is left out."""
    charts = []
    for column, title, unit, starts_at_zero in _HISTORY:
        series = tuple(
            Series(
                s.label,
                s.history["step"].astype(float).tolist(),
                s.history[column].astype(float).tolist(),
                s.color,
            )
            for s in settings
            if column in s.history and s.history[column].to_numpy().any()
        )
        if series:
            charts.append(LineChart(f"training_{column}", title, "step", unit, series, starts_at_zero))
    return tuple(charts)


def dictionary_charts(settings: Sequence[Setting], train: Split) -> tuple[LineChart, ...]:
    """Error of the dictionary over training: mean, median.

    Args:
        settings: our trainings.
        train: the training split.
    """
    charts = []
    for column, title in (("pa_mpjpe_mm", "mean"), ("pa_mpjpe_median_mm", "median")):
        series = tuple(
            Series(
                s.label,
                s.dictionary[train.key]["step"].astype(float).tolist(),
                s.dictionary[train.key][column].astype(float).tolist(),
                s.color,
            )
            for s in settings
            if train.key in s.dictionary
        )
        if series:
            name = f"Dictionary against truth, {title} PA-MPJPE ({train.label})"
            key = f"dictionary_{title}_{train.key}"
            charts.append(LineChart(key, name, "training step", "mm", series))
    return tuple(charts)


def joints_chart(settings: Sequence[Setting], split: Split) -> DotChart | None:
    """Error of each joint on a test split; None where joints are not what is measured.

    Args:
        settings: our trainings.
        split: what was measured.
    """
    known = [setting for setting in settings if "pa_mpjpe_mm" in setting.results.get(split.key, {})]
    if not known:
        return None
    parts = known[0].results[split.key]["parts"]
    names = tuple(name for name in PROTOCOL17 if name in parts)
    series = tuple(
        Series(s.label, (), [s.results[split.key]["parts"][name]["pa_mpjpe_mm"] for name in names], s.color)
        for s in known
    )
    shown = tuple(name.replace("_", " ") for name in names)
    title = f"Error by joint after alignment ({split.label})"
    return DotChart(f"joints_{split.key}", title, shown, "mm", series)


def occlusion_charts(seen: Mapping[str, Occlusion], splits: Sequence[Split]) -> tuple[DotChart, ...]:
    """Error of joints that are seen in the image and of those that are not, and error by how many are hidden.

    Args:
        seen: test split → what is known of it.
        splits: test splits.
    """
    charts = []
    for split in splits:
        if split.key not in seen:
            continue
        known = seen[split.key]
        pairs = [(name, pair) for name, pair in known.by_joint.items() if None not in pair]
        if pairs:
            names = tuple(name.replace("_", " ") for name, _ in pairs)
            series = (
                Series("seen in 2D", (), [pair[0] or 0.0 for _, pair in pairs], 2),
                Series("hidden or missed", (), [pair[1] or 0.0 for _, pair in pairs], 1),
            )
            title = f"Error of seen and hidden joints, {known.label} ({split.label})"
            charts.append(DotChart(f"occlusion_{split.key}", title, names, "mm", series))
        if len(known.by_count) > 1:
            names = tuple(f"{name}, n = {n:,}" for name, (n, _) in known.by_count.items())
            series = (Series(known.label, (), [mean for _, mean in known.by_count.values()], 1),)
            title = f"Error by how many joints are hidden ({split.label})"
            charts.append(DotChart(f"seen_{split.key}", title, names, "mm", series))
    return tuple(charts)
