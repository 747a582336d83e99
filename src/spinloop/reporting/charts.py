"""Line and dot charts as SVG text: small, sharp, the same bytes everywhere, legible on light and dark."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 20.0, 14.0, 44.0
_ROW, _LEGEND_LINE = 21.0, 18.0
_LEFT_OF_DOTS = 118.0
_N_TICKS = 5

# Colors that keep apart for most color-blind readers and on both backgrounds; the text takes the page's own.
STYLE = """
text{font:12px system-ui,sans-serif;fill:currentColor}
.axis{stroke:currentColor;opacity:.45}
.grid{stroke:currentColor;opacity:.13}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.dashed{stroke-dasharray:5 4}
.s0{stroke:#8a8f98}.s1{stroke:#d9722b}.s2{stroke:#3f8fd2}.s3{stroke:#3c9d6b}.s4{stroke:#b5619f}.s5{stroke:#b08c1c}
.f0{fill:#8a8f98}.f1{fill:#d9722b}.f2{fill:#3f8fd2}.f3{fill:#3c9d6b}.f4{fill:#b5619f}.f5{fill:#b08c1c}
"""
N_COLORS = 6


@dataclass(frozen=True)
class Series:
    """One line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    """Number of the color; the same setting has the same one in every chart."""
    is_dashed: bool = False


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
        """The chart in words, for those who cannot see it."""
        ends = [f"{s.name} from {s.y[0]:.4g} to {s.y[-1]:.4g}" for s in self.series if len(s.y)]
        return f"{self.title}: {'; '.join(ends)}."

    def svg(self) -> str:
        """The chart."""
        xs = [value for series in self.series for value in series.x]
        ys = [value for series in self.series for value in series.y if math.isfinite(value)]
        x_ticks, y_ticks = ticks(xs), ticks([0.0, *ys] if self.starts_at_zero else ys)
        # The lines reach the right edge; a tick beyond their end would leave a gap there.
        right = max(xs) if max(xs, default=0.0) > x_ticks[0] else x_ticks[-1]
        x_ticks = [tick for tick in x_ticks if tick <= right]
        to_x = _scale(x_ticks[0], right, _LEFT, WIDTH - _RIGHT)
        to_y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - _BOTTOM, _TOP + 18)
        parts = [*_horizontal_grid(y_ticks, to_y), *_vertical_ticks(x_ticks, to_x)]
        for series in self.series:
            pairs = zip(series.x, series.y, strict=True)
            points = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in pairs if math.isfinite(y))
            dashed = " dashed" if series.is_dashed else ""
            parts.append(f'<polyline class="line s{series.color}{dashed}" points="{points}"/>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(_text(middle, HEIGHT - 8, self.x_label, "middle"))
        parts.append(
            f'<text transform="translate(13 {(HEIGHT - _BOTTOM + _TOP) / 2:.1f}) rotate(-90)"'
            f' text-anchor="middle">{html.escape(self.y_label)}</text>'
        )
        return _document(HEIGHT, self.describe(), self.series, parts)


@dataclass(frozen=True)
class DotChart:
    """Numbers of named things, one row each, one dot per series."""

    key: str
    """Name of the file."""
    title: str
    names: tuple[str, ...]
    x_label: str
    series: tuple[Series, ...]
    """`y` holds a number for each name; `x` is not used."""

    def describe(self) -> str:
        """The chart in words, for those who cannot see it."""
        worst = [
            f"{s.name} is largest at {self.names[max(range(len(s.y)), key=s.y.__getitem__)]}"
            for s in self.series
        ]
        return f"{self.title}: {'; '.join(worst)}."

    def svg(self) -> str:
        """The chart."""
        height = _TOP + 24 + _ROW * len(self.names) + _BOTTOM
        x_ticks = ticks([0.0, *(value for series in self.series for value in series.y)])
        to_x = _scale(x_ticks[0], x_ticks[-1], _LEFT_OF_DOTS, WIDTH - _RIGHT)
        parts = []
        for tick in x_ticks:
            x = to_x(tick)
            parts.append(_line("grid", (x, _TOP + 20), (x, height - _BOTTOM)))
            parts.append(_text(x, height - _BOTTOM + 16, label(tick), "middle"))
        for row, name in enumerate(self.names):
            y = _TOP + 24 + _ROW * (row + 0.5)
            values = [to_x(series.y[row]) for series in self.series]
            parts.append(_text(_LEFT_OF_DOTS - 8, y + 4, name, "end"))
            parts.append(_line("axis", (min(values), y), (max(values), y)))
            parts += [
                f'<circle class="f{series.color}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
                for x, series in zip(values, self.series, strict=True)
            ]
        parts.append(_text((_LEFT_OF_DOTS + WIDTH - _RIGHT) / 2, height - 8, self.x_label, "middle"))
        return _document(height, self.describe(), self.series, parts, has_dots=True)


Chart = LineChart | DotChart


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers that span the values: at least two, about five.

    Steps are 1, 2 or 5 times a power of ten.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(1.0, abs(low)), high + 0.5 * max(1.0, abs(high))
    raw = (high - low) / _N_TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * index for index in range(first, last + 1)]


def label(value: float) -> str:
    """A tick's number: short, without an exponent for everyday sizes."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e−").replace("e+0", "e").replace("e-", "e−")
    return f"{value:,.10g}".replace("-", "−")


def standalone(svg: str) -> str:
    """The same SVG as a file of its own, with its styles; text in a grey that both backgrounds bear."""
    return svg.replace(">", f"><style>svg{{color:#7d838c}}{STYLE}</style>", 1) + "\n"


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _horizontal_grid(y_ticks: list[float], to_y: Callable[[float], float]) -> list[str]:
    parts = []
    for tick in y_ticks:
        y = to_y(tick)
        parts.append(_line("grid", (_LEFT, y), (WIDTH - _RIGHT, y)))
        parts.append(_text(_LEFT - 6, y + 4, label(tick), "end"))
    return parts


def _vertical_ticks(x_ticks: list[float], to_x: Callable[[float], float]) -> list[str]:
    base = HEIGHT - _BOTTOM
    parts = [_line("axis", (_LEFT, base), (WIDTH - _RIGHT, base))]
    return parts + [_text(to_x(tick), base + 16, label(tick), "middle") for tick in x_ticks]


def _legend(series: Sequence[Series], has_dots: bool) -> tuple[list[str], int]:
    """Its parts, and how many lines they take."""
    parts, x, n_lines = [], _LEFT, 1
    for entry in series:
        width = 36 + 6.4 * len(entry.name)
        if x > _LEFT and x + width > WIDTH:
            x, n_lines = _LEFT, n_lines + 1
        y = 12.0 + _LEGEND_LINE * (n_lines - 1)
        dashed = " dashed" if entry.is_dashed else ""
        if has_dots:
            parts.append(f'<circle class="f{entry.color}" cx="{x + 12:.1f}" cy="{y:.0f}" r="4.5"/>')
        else:
            parts.append(_line(f"line s{entry.color}{dashed}", (x, y), (x + 18, y)))
        parts.append(_text(x + 23, y + 4, entry.name, "start"))
        x += width
    return parts, n_lines


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, content: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(content)}</text>'


def _document(
    height: float, description: str, series: Sequence[Series], parts: list[str], has_dots: bool = False
) -> str:
    """The picture: the legend, and below its first line what was drawn, moved down by its further lines."""
    legend, n_lines = _legend(series, has_dots)
    extra = _LEGEND_LINE * (n_lines - 1)
    drawn = parts if n_lines == 1 else [f'<g transform="translate(0 {extra:.0f})">', *parts, "</g>"]
    box = f"0 0 {WIDTH:.0f} {height + extra:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img"'
    return f'{head} aria-label="{html.escape(description)}">' + "".join([*legend, *drawn]) + "</svg>"
