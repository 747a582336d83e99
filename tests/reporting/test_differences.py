"""Which trainings are compared, what the sentences conclude, and means over seeds."""

import pytest

from spinloop.reporting.differences import (
    Comparison,
    PairedDifference,
    Trial,
    comparable_pairs,
    comparison_sentence,
    comparison_sentences,
    differences_chart,
    seed_difference,
    seed_interval,
    seeds_markdown,
)
from spinloop.reporting.results import SplitInfo

TRIALS = [
    Trial(variant, seed, {"fits": fits, "network": 10.0 + seed})
    for variant, values in (("static", (70.0, 71.0, 72.0)), ("loop", (64.0, 66.0, 65.0)))
    for seed, fits in enumerate(values)
]

TABLE = """\
Means over seeds with 95% intervals (Student's t); mm; less is better.

| variant   | seeds   | fits              | against static    | network          | against static   |
|:----------|:--------|:------------------|:------------------|:-----------------|:-----------------|
| static    | 3       | 71.0 [68.5, 73.5] |                   | 11.0 [8.5, 13.5] |                  |
| loop      | 3       | 65.0 [62.5, 67.5] | -6.0 [-8.5, -3.5] | 11.0 [8.5, 13.5] | 0.0 [0.0, 0.0]   |

* code: `abc`
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["loop"], []),
        (["static", "loop"], [("static", "loop")]),
        (["loop", "static"], [("static", "loop")]),
        (["static", "loop", "paired"], [("static", "loop"), ("loop", "paired")]),
        (["static_3d", "loop", "paired"], [("static_3d", "paired"), ("loop", "paired")]),
        (["static", "paired"], [("static", "paired")]),
    ],
)
def test_trainings_that_differ_in_one_choice_are_compared(trainings_named, names, expected):
    assert [(one.name, other.name) for one, other in comparable_pairs(trainings_named(names))] == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            PairedDifference(-3.21, -4.0, -2.4, 480),
            "3.2 mm better (95\u00a0% interval −4.0 to −2.4 mm, n = 480)",
        ),
        (PairedDifference(3.21, 2.4, 4.0, 480), "3.2 mm worse (95\u00a0% interval +2.4 to +4.0 mm, n = 480)"),
        (
            PairedDifference(-3.21, -7.0, 0.4, 480),
            "no measurable difference (−3.2 mm, 95\u00a0% interval −7.0 to +0.4 mm",
        ),
        (PairedDifference(0.0, 0.0, 0.0, 480), "no measurable difference (0.0 mm"),
    ],
)
def test_the_verdict_follows_the_interval(change, words):
    assert change.describe(0.95).startswith(words)


@pytest.mark.parametrize(
    ("metric", "mean", "verdict"),
    [("pa_mpjpe_mm", -3.0, "better"), ("pa_mpjpe_mm", 3.0, "worse"), ("parts_f1", 3.0, "better"),
     ("pck_percent", -3.0, "worse")],
)  # fmt: skip
def test_less_error_and_more_agreement_are_better(metric, mean, verdict):
    assert PairedDifference(mean, mean - 1, mean + 1, 9, metric).verdict == verdict


def test_one_sentence_covers_all_splits():
    found = [
        ("A", PairedDifference(-3.21, -4.0, -2.4, 9)),
        ("B", PairedDifference(1.0, -1.0, 3.0, 9)),
        ("C", PairedDifference(0.5, -1.0, 3.0, 9)),
        ("D", PairedDifference(-0.02, -0.03, -0.01, 9, "parts_f1")),
    ]
    assert comparison_sentence("static fits", "the loop", "images", found, 0.9) == (
        "The loop against static fits, PA-MPJPE and F1 of parts on images (90\u00a0% intervals): better on "
        "A (−3.2 mm); worse on D (F1 −0.020); no measurable difference on B (+1.0 mm) and C (+0.5 mm)."
    )


def test_pairs_that_share_no_split_have_no_sentence(trainings_named):
    one, other = trainings_named(["static", "loop"])
    assert comparison_sentences([Comparison(one, other, {})], [], 0.9) == []


def test_the_interval_is_students():
    """t(0.975, 2) = 4.302653: mean 71, deviation 1, three values."""
    found = seed_interval([70.0, 71.0, 72.0])
    assert found == pytest.approx((71.0, 71 - 4.302653 / 3**0.5, 71 + 4.302653 / 3**0.5), abs=1e-5)


def test_one_seed_has_no_interval():
    assert seed_interval([5.0]) == (5.0, float("-inf"), float("inf"))


def test_differences_are_taken_seed_by_seed():
    """Equal differences leave no doubt, however the seeds vary."""
    found = seed_difference({0: 60.0, 1: 90.0, 2: 10.0}, {0: 61.0, 1: 91.0, 5: 3.0})
    assert found == pytest.approx((-1.0, -1.0, -1.0))


def test_the_table_of_seeds_is_exact():
    table = seeds_markdown(TRIALS, "static", {"code": "abc"})
    assert table == TABLE


def test_the_chart_shows_differences_in_mm_with_their_intervals(trainings_named):
    one, other = trainings_named(["static", "loop"])
    found = {
        "a": PairedDifference(-3.0, -4.0, -2.0, 9),
        "b": PairedDifference(0.1, 0.0, 0.2, 9, "parts_f1"),
    }
    tests = [SplitInfo("a", "pw3d", True), SplitInfo("b", "lsp", True), SplitInfo("c", "h36m", True)]
    chart = differences_chart([Comparison(one, other, found)], tests, 0.95)
    assert chart is not None
    assert chart.names == ("3DPW",)
    (series,) = chart.series
    assert (series.name, series.y, series.intervals) == (
        "unpaired loop minus static fits", [-3.0], [(-4.0, -2.0)],
    )  # fmt: skip
    assert differences_chart([Comparison(one, other, {"b": found["b"]})], tests, 0.95) is None
