"""Line and dot charts as SVG, drawn by matplotlib: small, and the same bytes on every run.

Text and axes take the page's color in an inline chart, and a grey that is legible on light and dark
backgrounds in a file. Text stays text, so that it is small and can be searched.
"""

import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

_WIDTH_IN, _HEIGHT_IN, _ROW_IN = 4.6, 3.0, 0.25
_LEGEND_LINE_IN = 0.2
# Colors that most color-blind readers can tell apart, on light and dark backgrounds.
_COLORS = ("#8a8f98", "#d9722b", "#3f8fd2", "#3c9d6b", "#b5619f", "#b08c1c")
# Of text and axes; has a contrast above 3.8 to white and to black.
_NEUTRAL = "#7d838c"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": _NEUTRAL,
    "axes.edgecolor": _NEUTRAL,
    "grid.color": _NEUTRAL,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": _NEUTRAL,
    "xtick.color": _NEUTRAL,
    "ytick.color": _NEUTRAL,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True)
class Series:
    """One line, or one dot for each name."""

    name: str
    x: Sequence[float]
    """Places of a line's points; not used by dots."""
    y: Sequence[float]
    """NaN leaves a point out."""
    color: int = 0
    """Number of the color; a training has the same one in every chart."""
    intervals: Sequence[tuple[float, float]] = ()
    """Low and high end of each value's confidence interval; empty if there are none."""


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis."""

    key: str
    """Name of the file."""
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    starts_at_zero: bool = False
    """Whether the vertical axis shows zero."""

    def describe(self) -> str:
        """The chart in words, for readers who cannot see it."""
        ends = [f"{s.name} from {s.y[0]:.4g} to {s.y[-1]:.4g}" for s in self.series if len(s.y)]
        return f"{self.title}: {'; '.join(ends)}."

    def svg(self) -> str:
        """An SVG element for an HTML page."""
        return _svg(self, _HEIGHT_IN)

    def plot(self, axes: Axes) -> None:
        """Plot into a matplotlib figure."""
        for series in self.series:
            points = [pair for pair in zip(series.x, series.y, strict=True) if math.isfinite(pair[1])]
            axes.plot(*zip(*points, strict=True), color=_color(series.color), label=series.name)
        axes.set(xlabel=self.x_label, ylabel=self.y_label)
        axes.margins(x=0.0)
        if self.starts_at_zero:
            axes.set_ylim(bottom=0.0)
        axes.grid(axis="y")


@dataclass(frozen=True)
class DotChart:
    """Numbers of named things: one row for each name, one dot for each series."""

    key: str
    """Name of the file."""
    title: str
    names: tuple[str, ...]
    x_label: str
    series: tuple[Series, ...]
    """`y` holds a number for each name."""

    def describe(self) -> str:
        """The chart in words, for readers who cannot see it."""
        ranges = []
        for series in self.series:
            known = [pair for pair in zip(series.y, self.names, strict=True) if math.isfinite(pair[0])]
            (low, lowest), (high, highest) = min(known), max(known)
            ranges.append(f"{series.name} from {low:.3g} ({lowest}) to {high:.3g} ({highest})")
        return f"{self.title}: {'; '.join(ranges)}."

    def svg(self) -> str:
        """An SVG element for an HTML page."""
        return _svg(self, 0.7 + _ROW_IN * len(self.names))

    def plot(self, axes: Axes) -> None:
        """Plot into a matplotlib figure."""
        rows = range(len(self.names))
        if not any(series.intervals for series in self.series):
            columns = np.array([series.y for series in self.series])
            axes.hlines(
                rows,
                np.nanmin(columns, axis=0),
                np.nanmax(columns, axis=0),
                color=_NEUTRAL,
                alpha=0.5,
                linewidth=0.8,
            )
        for number, series in enumerate(self.series):
            # Intervals of one name lie below each other; dots without intervals share a line.
            shift = (number - (len(self.series) - 1) / 2) * (0.3 if series.intervals else 0.0)
            places, color = [row + shift for row in rows], _color(series.color)
            if series.intervals:
                lows, highs = zip(*series.intervals, strict=True)
                axes.hlines(places, lows, highs, color=color)
            axes.plot(series.y, places, "o", color=color, label=series.name)
        axes.set(xlabel=self.x_label, yticks=list(rows), yticklabels=self.names)
        axes.set_ylim(len(self.names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0.0)
        axes.grid(axis="x")
        if axes.get_xlim()[0] < 0.0 and any(series.intervals for series in self.series):
            axes.axvline(0.0, color=_NEUTRAL, linewidth=0.8)
        else:
            axes.set_xlim(0.0, 1.04 * axes.dataLim.xmax)


Chart = LineChart | DotChart


def points_of(frame: pd.DataFrame, column: str) -> tuple[list[float], list[float]]:
    """A column over the column `step`."""
    return frame["step"].astype(float).tolist(), frame[column].astype(float).tolist()


def standalone(svg: str) -> str:
    """The element as a file of its own."""
    return svg.replace("currentColor", _NEUTRAL) + "\n"


def _color(number: int) -> str:
    return _COLORS[number % len(_COLORS)]


def _svg(chart: Chart, height_in: float) -> str:
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's matplotlibrc says
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["svg.hashsalt"] = chart.key
        figure = Figure((_WIDTH_IN, height_in + _LEGEND_LINE_IN * len(chart.series)), layout="constrained")
        axes = figure.subplots()
        chart.plot(axes)
        value_axes = (axes.xaxis, axes.yaxis) if isinstance(chart, LineChart) else (axes.xaxis,)
        for axis in value_axes:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(ScalarFormatter(useOffset=False))
        n_lines = _add_legend(figure, len(chart.series))
        figure.set_size_inches(_WIDTH_IN, height_in + _LEGEND_LINE_IN * n_lines)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(stream, metadata=nothing)
    return _element(stream.getvalue(), chart.describe())


def _add_legend(figure: Figure, n_series: int) -> int:
    """Add a legend above the axes, with as many columns as fit; returns its lines."""
    for n_columns in range(n_series, 0, -1):
        legend = figure.legend(
            loc="outside upper left", ncols=n_columns, handlelength=1.2, handletextpad=0.5, columnspacing=1.2
        )
        figure.draw_without_rendering()
        if n_columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return math.ceil(n_series / n_columns)
        legend.remove()
    return 0


def _element(document: str, description: str) -> str:
    """The document as an element that may stand in a page beside others.

    Ids that nothing refers to, the global style and the fixed size are removed.
    """
    ET.register_namespace("", _SVG)
    root = ET.fromstring(document)
    for element in root.iter():
        link = element.attrib.pop(f"{{{_XLINK}}}href", None)
        if link is not None:
            element.set("href", link)
        if element.tag == f"{{{_SVG}}}g":
            element.attrib.pop("id", None)
        if "style" in element.attrib:
            element.set("style", element.attrib["style"].replace(_NEUTRAL, "currentColor"))
    for child in root.findall(f"{{{_SVG}}}defs"):
        if child.find(f"{{{_SVG}}}style") is not None:
            root.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description, "stroke-linejoin": "round"}
    return ET.tostring(root, encoding="unicode")
