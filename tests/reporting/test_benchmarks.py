"""Published numbers as data."""

import pytest

from spinloop.errors import UserError
from spinloop.evaluation.protocols import PROTOCOLS
from spinloop.reporting.benchmarks import load_published


def test_table_1_of_the_paper_is_there(published):
    rows = [
        row for row in published.of("pw3d") if row.source == "SPIN paper" and not row.read_in and row.checked
    ]
    values = {row.method: row.values["pa_mpjpe_mm"] for row in rows}
    assert values == {
        "SPIN, static fits": 66.3,
        "SPIN, in the loop": 59.2,
    }


def test_metrics_are_named_as_in_the_protocols(published):
    known = {metric for protocol in PROTOCOLS.values() for metric in protocol.metrics}
    for benchmark in ("pw3d", "h36m", "mpi_inf_3dhp"):
        for row in published.of(benchmark):
            assert set(row.values) <= known, row.method


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sources: {}\nrows: [{benchmark: a, method: m, source: x, where: t, values: {k: 1}}]", "source 'x'"),
        (
            "sources: {}\nrows: [{benchmark: a, method: m, source: x, where: t}]",
            r"rows\.0\.values: field required",
        ),
        ("sources: {}\nrows: []\nmore: 1", "more: extra inputs"),
    ],
)
def test_faulty_entries_are_named(tmp_path, text, fault):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"published\.yaml: .*{fault}"):
        load_published(path)


def test_unchecked_rows_say_so(published):
    for row in published.rows:
        assert row.checked != row.citation.endswith("(not checked)")
        assert row.checked or row.read_in is None, row.method


def test_rows_read_elsewhere_name_that_source(published):
    row = next(row for row in published.of("h36m") if row.method.startswith("SMPLify"))
    assert row.citation == "SPIN paper, Table 3; HMR paper, Table 1"
    assert row.sources == {"SPIN paper", "HMR paper"}


def test_rows_of_the_paper_name_the_corresponding_training(published):
    named = {(row.benchmark, row.training) for row in published.rows if row.training}
    assert named == {
        ("pw3d", "static"), ("pw3d", "paired"), ("lsp", "static"), ("lsp", "paired"), ("h36m", "unpaired"),
        ("h36m", "paired"), ("mpi_inf_3dhp", "unpaired"), ("mpi_inf_3dhp", "paired"),
    }  # fmt: skip


def test_all_rows_of_the_papers_tables_are_there(published):
    counts = {key: len([row for row in published.of(key) if row.source == "SPIN paper"]) for key in
              ("pw3d", "lsp", "h36m", "mpi_inf_3dhp")}  # fmt: skip
    assert counts == {"pw3d": 6, "lsp": 8, "h36m": 11, "mpi_inf_3dhp": 6}
