"""Published numbers as data."""

import pytest

from spinloop.errors import UserError
from spinloop.evaluation.protocols import PROTOCOLS
from spinloop.reporting.benchmarks import load_published

# The tables as the paper prints them (SPIN, ICCV 2019): method -> numbers in the order of METRICS_OF_TABLE.
METRICS_OF_TABLE = {
    1: ("pa_mpjpe_mm",),
    2: ("mask_accuracy_percent", "mask_f1", "parts_accuracy_percent", "parts_f1"),
    3: ("pa_mpjpe_mm",),
    4: ("pck_percent", "auc_percent", "mpjpe_mm", "pa_pck_percent", "pa_auc_percent", "pa_mpjpe_mm"),
}
PAPER = {
    1: {
        "HMR (Kanazawa et al. 2018)": (81.3,),
        "HMMR (Kanazawa et al. 2019)": (72.6,),
        "Arnab et al. 2019": (72.2,),
        "CMR (Kolotouros et al. 2019)": (70.2,),
        "SPIN, static fits": (66.3,),
        "SPIN, in the loop": (59.2,),
    },
    2: {
        "SMPLify oracle (Bogo et al. 2016)": (92.17, 0.88, 88.82, 0.67),
        "SMPLify (Bogo et al. 2016)": (91.89, 0.88, 87.71, 0.64),
        "SMPLify on Pavlakos et al. 2018": (92.17, 0.88, 88.24, 0.64),
        "HMR (Kanazawa et al. 2018)": (91.67, 0.87, 87.12, 0.60),
        "SPIN, static fits": (91.07, 0.86, 88.48, 0.65),
        "SPIN, in the loop": (91.83, 0.87, 89.41, 0.68),
    },
    3: {
        "Lassner et al. 2017": (93.9,),
        "SMPLify (Bogo et al. 2016)": (82.3,),
        "Pavlakos et al. 2018": (75.9,),
        "HMR, unpaired (Kanazawa et al. 2018)": (66.5,),
        "SPIN, unpaired": (62.0,),
        "NBF (Omran et al. 2018)": (59.9,),
        "HMR (Kanazawa et al. 2018)": (56.8,),
        "SPIN": (41.1,),
    },
    4: {
        "HMR, unpaired (Kanazawa et al. 2018)": (59.6, 27.9, 169.5, 77.1, 40.7, 113.2),
        "SPIN, unpaired": (66.8, 30.2, 124.8, 87.0, 48.5, 80.4),
        "Mehta et al. 2017": (75.7, 39.3, 117.6),
        "VNect (Mehta et al. 2017)": (76.6, 40.4, 124.7, 83.9, 47.3, 98.0),
        "HMR (Kanazawa et al. 2018)": (72.9, 36.5, 124.2, 86.3, 47.8, 89.8),
        "SPIN": (76.4, 37.1, 105.2, 92.5, 55.6, 67.5),
    },
}
BENCHMARK_OF_TABLE = {1: "pw3d", 2: "lsp", 3: "h36m", 4: "mpi_inf_3dhp"}


@pytest.mark.parametrize("number", PAPER)
def test_rows_of_the_paper_are_its_tables_and_nothing_else(published, number):
    rows = [row for row in published.rows if row.source == "SPIN paper" and row.where == f"Table {number}"]
    assert {row.benchmark for row in rows} == {BENCHMARK_OF_TABLE[number]}
    expected = {
        method: dict(zip(METRICS_OF_TABLE[number], values, strict=False))
        for method, values in PAPER[number].items()
    }
    assert {row.method: row.values for row in rows} == expected


def test_no_other_row_claims_to_stand_in_the_paper(published):
    claimed = [row for row in published.rows if row.source == "SPIN paper"]
    assert len(claimed) == sum(len(table) for table in PAPER.values())


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


def test_a_row_from_another_paper_names_that_paper(published):
    row = next(row for row in published.of("h36m") if row.method.startswith("CMR"))
    assert row.citation == "Multiview paper, Table 1"


def test_rows_of_the_paper_name_the_corresponding_training(published):
    named = {(row.benchmark, row.training) for row in published.rows if row.training}
    assert named == {
        ("pw3d", "static"), ("pw3d", "paired"), ("lsp", "static"), ("lsp", "paired"), ("h36m", "unpaired"),
        ("h36m", "paired"), ("mpi_inf_3dhp", "unpaired"), ("mpi_inf_3dhp", "paired"),
    }  # fmt: skip
