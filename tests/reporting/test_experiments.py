import pytest

from spinloop.reporting.comparisons import Trial, difference, estimate, markdown

TRIALS = [
    Trial(variant, seed, {"fits": fits, "network": 100.0 + seed})
    for variant, values in (("static", (70.0, 71.0, 72.0)), ("loop", (64.0, 66.0, 65.0)))
    for seed, fits in enumerate(values)
]


def test_the_interval_is_students():
    """t(0.975, 2) = 4.302653: mean 71, deviation 1, three values."""
    found = estimate([70.0, 71.0, 72.0])
    assert found == pytest.approx((71.0, 71 - 4.302653 / 3**0.5, 71 + 4.302653 / 3**0.5), abs=1e-5)


def test_one_seed_has_no_interval():
    assert estimate([5.0]).words() == "5.0"


def test_differences_are_taken_seed_by_seed():
    """Equal differences leave no doubt, however the seeds vary."""
    found = difference({0: 60.0, 1: 90.0, 2: 10.0}, {0: 61.0, 1: 91.0, 5: 3.0})
    assert found == pytest.approx((-1.0, -1.0, -1.0))


def test_the_table_is_exactly_this():
    table = markdown(TRIALS, "static", {"code": "abc"})
    assert table == (
        "Means over seeds with 95% intervals (Student); mm; less is better.\n\n"
        "| variant | seeds | fits | against static | network | against static |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| static | 3 | 71.0 [68.5, 73.5] |  | 101.0 [98.5, 103.5] |  |\n"
        "| loop | 3 | 65.0 [62.5, 67.5] | -6.0 [-8.5, -3.5] | 101.0 [98.5, 103.5] | 0.0 [0.0, 0.0] |\n\n"
        "* code: `abc`\n"
    )
