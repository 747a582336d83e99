"""Charts as SVG."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from spinloop.reporting.charts import DotChart, LineChart, Series, standalone

SVG = "{http://www.w3.org/2000/svg}"
LINES = LineChart(
    "toy",
    "Toy & co",
    "step",
    "error, mm",
    (
        Series("a", [0.0, 10.0, 20.0], [3.0, float("nan"), 1.0]),
        Series("b <c>", [0.0, 20.0], [2.0, 2.0], 1),
    ),
)
DOTS = DotChart(
    "dots",
    "Dots",
    ("one", "two"),
    "error, mm",
    (Series("a", (), [1.0, 40.0]), Series("b", (), [2.0, float("nan")], 1)),
)
INTERVALS = DotChart(
    "intervals",
    "Intervals",
    ("one", "two"),
    "error, mm",
    (Series("a", (), [1.0, -4.0], 0, [(-1.0, 3.0), (-9.0, 1.0)]),),
)


def texts(chart: LineChart | DotChart) -> list[str]:
    return [str(element.text) for element in ET.fromstring(chart.svg()).iter(f"{SVG}text")]


@pytest.mark.parametrize("chart", [LINES, DOTS, INTERVALS])
def test_a_chart_is_valid_svg_with_axes_legend_and_description(chart):
    root = ET.fromstring(standalone(chart.svg()))
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label") == chart.describe()
    assert {*(series.name for series in chart.series), chart.x_label} <= set(texts(chart))


@pytest.mark.parametrize("chart", [LINES, DOTS, INTERVALS])
def test_everything_lies_inside_the_picture(chart):
    root = ET.fromstring(chart.svg())
    _, _, width, height = (float(number) for number in str(root.get("viewBox")).split())
    for element in (*root.iter(f"{SVG}text"), *root.iter(f"{SVG}use")):
        assert 0 <= float(element.get("x", 0)) <= width
        assert 0 <= float(element.get("y", 0)) <= height


@pytest.mark.parametrize("n_names", [1, 3, 4, 6])
def test_the_legend_of_any_number_of_trainings_fits(n_names):
    names = ("static fits", "unpaired loop", "paired loop", "paired static fits", "loop (a)", "loop (of b)")
    series = tuple(Series(name, [0.0, 1.0], [0.0, 1.0], color) for color, name in enumerate(names[:n_names]))
    root = ET.fromstring(LineChart("t", "T", "step", "mm", series).svg())
    width = float(str(root.get("viewBox")).split()[2])
    found, font = [text for text in root.iter(f"{SVG}text") if text.text in names], FontProperties(size=9)
    assert len(found) == n_names
    for text in found:
        length, _, _ = TextToPath().get_text_width_height_descent(str(text.text), font, ismath=False)
        assert float(text.get("x", 0)) + length < width
    assert len({(text.get("x"), text.get("y")) for text in found}) == n_names


def test_text_and_axes_take_the_pages_color_and_a_file_has_its_own():
    inline, file = LINES.svg(), standalone(LINES.svg())
    assert "currentColor" in inline
    assert "currentColor" not in file
    for color in ("#000000", "#ffffff", "black", "white"):
        assert color not in inline


def test_charts_of_one_page_share_no_ids():
    ids = [
        {element.get("id") for element in ET.fromstring(chart.svg()).iter() if element.get("id")}
        for chart in (LINES, DOTS, INTERVALS)
    ]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]


def test_the_bytes_depend_on_nothing_else():
    program = "from test_charts import LINES, DOTS; print(LINES.svg() + DOTS.svg(), end='')"
    command = [sys.executable, "-c", program]
    other = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=__file__.rsplit("/", 1)[0]
    )
    with mpl.rc_context({"font.size": 20.0, "axes.facecolor": "red"}):
        assert LINES.svg() + DOTS.svg() == other.stdout
        assert mpl.rcParams["font.size"] == 20.0


def test_descriptions_name_ends_and_ranges():
    assert LINES.describe() == "Toy & co: a from 3 to 1; b <c> from 2 to 2."
    assert DOTS.describe() == "Dots: a from 1 (one) to 40 (two); b from 2 (one) to 2 (one)."


def test_axes_start_at_zero_where_they_should():
    chart = LineChart("t", "T", "step", "share", (Series("a", [0.0, 1.0], [0.5, 0.9]),), starts_at_zero=True)
    assert "0.0" in texts(chart)
    assert "0" in texts(DOTS)
