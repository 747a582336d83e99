"""The charts of the report."""

from collections.abc import Sequence

from spinloop.reporting.charts import DotChart, LineChart, Series
from spinloop.reporting.results import Setting, Split

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


def dictionary_charts(settings: Sequence[Setting]) -> tuple[LineChart, ...]:
    """Error of the dictionary over training: mean, median."""
    charts = []
    for column, title in (("pa_mpjpe_mm", "mean"), ("pa_mpjpe_median_mm", "median")):
        series = tuple(
            Series(
                s.label,
                s.dictionary["step"].astype(float).tolist(),
                s.dictionary[column].astype(float).tolist(),
                s.color,
            )
            for s in settings
        )
        name = f"Dictionary against truth, {title} PA-MPJPE"
        charts.append(LineChart(f"dictionary_{title}", name, "training step", "mm", series))
    return tuple(charts)


def joints_chart(settings: Sequence[Setting], test: Split) -> DotChart:
    """Error of each joint on the test split.

    Args:
        settings: our trainings.
        test: what was measured.
    """
    names = tuple(settings[0].joint_errors_mm)
    series = tuple(
        Series(s.label, (), [s.joint_errors_mm[name] for name in names], s.color) for s in settings
    )
    shown = tuple(name.replace("_", " ") for name in names)
    return DotChart("joints", f"Error by joint after alignment ({test.label})", shown, "mm", series)
