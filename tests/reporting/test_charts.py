"""Charts as SVG."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinloop.reporting.charts import HEIGHT, WIDTH, DotChart, LineChart, Series, label, standalone, ticks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def chart():
    lines = (
        Series("a", [0.0, 10.0, 20.0], [3.0, float("nan"), 1.0]),
        Series("b <c>", [0.0, 20.0], [2.0, 2.0], 1, True),
    )
    return LineChart("toy", "Toy & co", "step", "mm", lines)


def test_a_chart_is_valid_svg_with_a_line_per_series(chart):
    root = ET.fromstring(standalone(chart.svg()))
    lines = root.findall(f"{SVG}polyline")
    assert [line.get("class") for line in lines] == ["line s0", "line s1 dashed"]
    assert "a from 3 to 1" in str(root.get("aria-label"))


def test_lines_end_at_the_frame_and_no_tick_lies_beyond():
    chart = LineChart("t", "T", "step", "mm", (Series("a", [40.0, 1800.0], [1.0, 2.0]),))
    root = ET.fromstring(chart.svg())
    points = str(root.findall(f"{SVG}polyline")[0].get("points")).split()
    assert float(points[-1].split(",")[0]) == WIDTH - 20
    shown = [text.text for text in root.findall(f"{SVG}text")]
    assert "1,500" in shown
    assert "2,000" not in shown


@pytest.mark.parametrize(("n_names", "height"), [(1, 270), (3, 270), (4, 288), (6, 288)])
def test_the_legend_of_any_number_of_trainings_fits(n_names, height):
    names = ("static fits", "unpaired loop", "paired loop", "paired static fits", "loop (a)", "loop (of b)")
    series = tuple(Series(name, [0.0, 1.0], [0.0, 1.0], color) for color, name in enumerate(names[:n_names]))
    root = ET.fromstring(LineChart("t", "T", "step", "mm", series).svg())
    assert root.get("viewBox") == f"0 0 420 {height}"
    shown = [text for text in root.findall(f"{SVG}text") if text.text in names]
    assert len(shown) == n_names
    for text in shown:
        # Type of 12 px is less than 7 px wide on average.
        assert float(text.get("x", 0)) + 7 * len(str(text.text)) < WIDTH
    places = [(float(text.get("x", 0)), float(text.get("y", 0))) for text in shown]
    assert len(set(places)) == n_names


def test_larger_numbers_stand_higher_and_gaps_are_left_out(chart):
    points = ET.fromstring(chart.svg()).findall(f"{SVG}polyline")[0].get("points")
    (x0, y0), (x1, y1) = ([float(n) for n in pair.split(",")] for pair in str(points).split())
    assert x0 < x1
    assert y0 < y1  # 3 is drawn above 1: smaller y on the page


def test_everything_lies_inside_the_picture(chart):
    dots = DotChart(
        "d", "Dots", ("one", "two"), "mm", (Series("a", (), [1.0, 40.0]), Series("b", (), [2.0, 3.0], 1))
    )
    for drawn in (chart, dots):
        root = ET.fromstring(drawn.svg())
        _, _, width, height = (float(n) for n in str(root.get("viewBox")).split())
        for element in root.iter():
            for name, limit in (("x", width), ("x1", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(element.get(name, 0)) <= limit
    assert (WIDTH, HEIGHT) == (420, 270)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6))
def test_ticks_span_the_values_with_a_round_step(values):
    grid = ticks(values)
    step = grid[1] - grid[0]
    slack = 1e-6 * max(step, max(map(abs, values)))
    assert grid[0] <= min(values) + slack
    assert grid[-1] >= max(values) - slack
    assert 2 <= len(grid) <= 8
    assert np.isclose(step / 10 ** np.floor(np.log10(step * 1.0001)), [1, 2, 5], rtol=1e-3).any()


def test_labels_are_short():
    assert [label(value) for value in (0.0, 0.25, -5.0, 1500.0, 1e-5, 2e6)] == [
        "0", "0.25", "−5", "1,500", "1e−5", "2e6",
    ]  # fmt: skip
