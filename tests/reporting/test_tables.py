"""One definition, four forms."""

import csv
import io

import pytest

from spinloop.reporting.page import Report, ReportSection, html_page
from spinloop.reporting.tables import (
    Estimate,
    Table,
    TableColumn,
    TableRow,
    signed,
    to_csv,
    to_latex,
    to_markdown,
)

COLUMNS = (
    TableColumn("method", "Method"),
    TableColumn("theirs_mm", "Theirs, mm"),
    TableColumn("ours_mm", "Ours, mm", 2),
)


def to_html(table: Table) -> str:
    """The table's part of a page."""
    page = html_page(Report("T", (), (ReportSection("s", "S", tables=(table,)),)))
    return page[page.index("<figure") : page.index("</figure>")]


@pytest.fixture
def table():
    rows = (
        TableRow(("A & B <1>", 59.2, None), "published", "3DPW"),
        TableRow(("C_d | e", None, Estimate(61.25, 60.0, 62.5)), "mirror", "3DPW"),
        TableRow(("f", 1234, Estimate(1.0, 0.5, 1.5)), "mirror", "3DPW"),
    )
    return Table("toy", "A toy table, 100 %", COLUMNS, rows, ("Said once.",))


def test_markdown_is_exact(table):
    assert to_markdown(table) == (
        "| Method    | Data            |   Theirs, mm |                Ours, mm |\n"
        "|:----------|:----------------|-------------:|------------------------:|\n"
        "| A & B <1> | published, 3DPW |         59.2 |                       – |\n"
        "| C_d \\| e  | mirror of 3DPW  |            – | 61.25† (60.00 to 62.50) |\n"
        "| f         | mirror of 3DPW  |        1,234 |    1.00† (0.50 to 1.50) |\n"
        "\n"
        "- Said once.\n"
    )


def test_latex_is_exact(table):
    assert to_latex(table) == (
        "\\begin{table}\n\\centering\n\\caption{A toy table, 100 \\%}\n\\label{tab:toy}\n"
        "\\begin{tabular}{llrr}\n\\toprule\nMethod & Data & Theirs, mm & Ours, mm \\\\\n\\midrule\n"
        "A \\& B <1> & published, 3DPW & 59.2 & -- \\\\\n"
        "C\\_d | e & mirror of 3DPW & -- & 61.25\\textsuperscript{\\dag} (60.00 to 62.50) \\\\\n"
        "f & mirror of 3DPW & 1,234 & 1.00\\textsuperscript{\\dag} (0.50 to 1.50) \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\par\\smallskip\\footnotesize Said once.\n\\end{table}\n"
    )


def test_csv_has_full_numbers_and_the_origin_of_every_row(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert rows[0] == {
        "method": "A & B <1>", "theirs_mm": "59.2", "ours_mm": "", "ours_mm_low": "", "ours_mm_high": "",
        "origin": "published", "dataset": "3DPW",
    }  # fmt: skip
    assert [rows[1][f"ours_mm{end}"] for end in ("", "_low", "_high")] == ["61.25", "60.0", "62.5"]


def test_html_is_escaped_and_marks_the_origin(table):
    text = to_html(table)
    assert "A &amp; B &lt;1&gt;" in text
    assert 'A &amp; B &lt;1&gt; <span class="origin published">published, 3DPW</span></th>' in text
    assert text.count("<tr class=published>") == 1
    assert text.count('<span class="origin mirror">') == 2
    assert "61.25† <small>(60.00 to 62.50)</small>" in text


def test_a_table_of_one_origin_has_no_column_for_it():
    table = Table("one", "One", COLUMNS, (TableRow(("a", 1.0, 2.0), "mirror", "x"),))
    assert to_markdown(table).startswith("| Method   |   Theirs, mm |   Ours, mm |\n")
    assert "origin" not in to_html(table)


def test_a_row_must_fill_the_columns():
    with pytest.raises(ValueError, match="toy: 2 cells for 3 columns"):
        Table("toy", "Toy", COLUMNS, (TableRow(("a", 1.0)),))


def test_numbers_have_a_sign_unless_they_are_zero():
    assert [signed(value) for value in (-3.21, 2.0, 0.0, -0.01)] == ["−3.2", "+2.0", "0.0", "0.0"]
    assert signed(-0.012, 3) == "−0.012"
