"""The sections of the report follow from the results."""

import dataclasses

import pytest

from spinloop.reporting.figures import FigureSheets
from spinloop.reporting.page import html_page, markdown_page
from spinloop.reporting.results import SplitInfo
from spinloop.reporting.sections import build_report
from spinloop.reporting.tables import Estimate


def test_every_mirror_number_beside_published_ones_is_marked(report):
    for table in report.tables:
        if not table.shows_origin:
            continue
        for row in table.rows:
            numbers = [
                text
                for text, cell in zip(table.texts(row), row.cells, strict=True)
                if isinstance(cell, float | Estimate)
            ]
            assert all(("†" in text) == (row.origin == "mirror") for text in numbers)
    table = next(table for table in report.tables if table.key == "table1")
    assert {row.mark for row in table.rows} == {"published, 3DPW", "mirror of 3DPW"}
    assert any("must not be compared" in note for note in table.notes)


def test_all_four_tables_of_the_paper_are_there_and_what_is_missing_is_explained(report):
    tables = {table.key: table for table in report.tables}
    for key in ("table2", "table3", "table4"):
        absent = [row for row in tables[key].rows if row.origin == "absent"]
        labels = ["static fits", "unpaired loop", "paired loop"]
        assert [row.cells[0] for row in absent] == [f"spinloop ({label})" for label in labels]
        assert "Not evaluated here: no split under `evaluate.splits`" in " ".join(tables[key].notes)
    made_from = (
        "protocol pw3d@1; annotations bbbb000000000002; prior dddd000000000004; weights aaaa000000000001"
    )
    assert tables["table1"].lineage == made_from


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["static"], ["static fits"]),
        (["static", "loop"], ["static fits", "unpaired loop"]),
        (["static", "loop", "paired"], ["static fits", "unpaired loop", "paired loop"]),
        (["static_3d", "loop", "paired"], ["paired static fits", "unpaired loop", "paired loop"]),
    ],
)
def test_any_number_of_trainings_has_its_rows_charts_and_sentences(
    inputs, trainings_named, compared, names, rows
):
    report = build_report(dataclasses.replace(inputs, **compared(trainings_named(names))))
    tables = {table.key: table for table in report.tables}
    ours = [row for row in tables["table1"].rows if row.origin == "mirror"]
    fits = ["SMPLify (mean pose)", "SMPLify (lifted)"]
    fits += [f"SMPLify from network ({label})" for label in rows]
    assert [row.cells[0] for row in ours] == [*(f"spinloop ({label})" for label in rows), *fits]
    assert [row.cells[0] for row in tables["refits_pw3d_test"].rows] == fits
    assert [series.name for series in report.charts[1].series] == rows
    sentences = [
        sentence for sentence in report.lead if " against " in sentence and "Best fits" not in sentence
    ]
    assert len(sentences) == len(names) - 1
    assert ("comparisons" in tables) == (len(names) > 1)
    assert html_page(report)
    assert markdown_page(report, "figures")


def test_every_table_of_this_run_says_what_it_was_made_from(report):
    for table in report.tables:
        is_ours = any(row.origin in ("mirror", "measured") for row in table.rows)
        assert table.lineage or table.key == "lineage" or not is_ours, table.key


def test_any_number_of_splits_fills_its_cells(inputs, masks):
    static, loop, paired = inputs.trainings
    loop = dataclasses.replace(loop, results={**loop.results, "lsp_test": masks})
    nothing = {"results": {}, "fits": {}, "dictionary": {}}
    trainings = [static, loop, dataclasses.replace(paired, **nothing)]
    tests = [*inputs.tests, SplitInfo("lsp_test", "lsp", True, "lsp@1")]
    changed = dataclasses.replace(inputs, trainings=trainings, tests=tests)
    tables = {table.key: table for table in build_report(changed).tables}
    rows = {row.cells[0]: row for row in tables["table2"].rows}
    assert rows["spinloop (unpaired loop)"].cells[2] == Estimate(0.85, 0.84, 0.86, 3)
    assert rows["spinloop (static fits)"].origin == rows["spinloop (paired loop)"].origin == "absent"
    assert [row.cells[1] for row in tables["parts_lsp_test"].rows][:2] == [0.5, 0.55]


def test_the_gap_is_to_the_training_of_the_same_kind(inputs):
    (gap,) = [table for table in build_report(inputs).tables if table.key == "gap"]
    of_3dpw = [row.cells[1:5] for row in gap.rows if row.cells[0] == "mirror of 3DPW"]
    assert of_3dpw == [
        ("static fits", "PA-MPJPE, mm", 66.3, 100.0),
        ("paired loop", "PA-MPJPE, mm", 59.2, 86.0),
    ]
    unpaired = {row.cells[3] for row in gap.rows if row.cells[1] == "unpaired loop"}
    assert {62.0, 66.8, 80.4} <= unpaired


def test_a_report_of_nothing_still_says_what_is_published(inputs):
    empty = [
        dataclasses.replace(s, results={}, fits={}, dictionary={}, history=s.history[:0])
        for s in inputs.trainings
    ]
    nothing = dataclasses.replace(
        inputs, trainings=empty, starts={}, refits={}, comparisons=[], occlusion={}, statuses={}, origins={},
        statistics={}, figures=FigureSheets((), (), (), ()), viewer=None,
    )  # fmt: skip
    report = build_report(nothing)
    assert {table.key for table in report.tables} >= {"table1", "table2", "table3", "table4", "gap"}
    assert html_page(report)
