"""What the sentences say follows from the numbers."""

import pytest

from spinloop.reporting.verdict import Change, compare_errors, signed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(-3.21, -4.0, -2.4, 480), "the loop is 3.2 mm better than the static fits"),
        (Change(3.21, 2.4, 4.0, 480), "the loop is 3.2 mm worse than the static fits"),
        (Change(-3.21, -7.0, 0.4, 480), "the loop is not measurably different from the static fits"),
        (Change(0.0, 0.0, 0.0, 480), "the loop is not measurably different from the static fits"),
    ],
)
def test_the_word_follows_the_interval(change, words):
    sentence = compare_errors(change, "the static fits", "the loop", "PA-MPJPE", 0.95)
    assert words in sentence
    assert "95\u00a0% interval" in sentence
    assert "n = 480" in sentence


def test_numbers_have_a_sign_unless_they_are_zero():
    assert [signed(value) for value in (-3.21, 2.0, 0.0, -0.01)] == ["−3.2", "+2.0", "0.0", "0.0"]
