"""What the sentences say follows from the numbers."""

import pytest

from spinloop.reporting.sentences import Change, change_in_words, compare_on, signed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(-3.21, -4.0, -2.4, 480), "3.2 mm better (95\u00a0% interval −4.0 to −2.4 mm, n = 480)"),
        (Change(3.21, 2.4, 4.0, 480), "3.2 mm worse (95\u00a0% interval +2.4 to +4.0 mm, n = 480)"),
        (
            Change(-3.21, -7.0, 0.4, 480),
            "no measurable difference (−3.2 mm, 95\u00a0% interval −7.0 to +0.4 mm",
        ),
        (Change(0.0, 0.0, 0.0, 480), "no measurable difference (0.0 mm"),
    ],
)
def test_the_word_follows_the_interval(change, words):
    assert change_in_words(change, 0.95).startswith(words)


@pytest.mark.parametrize(
    ("metric", "mean", "word"),
    [("pa_mpjpe_mm", -3.0, "better"), ("pa_mpjpe_mm", 3.0, "worse"), ("parts_f1", 3.0, "better"),
     ("pck_percent", -3.0, "worse")],
)  # fmt: skip
def test_less_error_and_more_agreement_are_better(metric, mean, word):
    assert Change(mean, mean - 1, mean + 1, 9, metric).word == word


def test_one_sentence_tells_all_splits():
    found = [
        ("A", Change(-3.21, -4.0, -2.4, 9)),
        ("B", Change(1.0, -1.0, 3.0, 9)),
        ("C", Change(0.5, -1.0, 3.0, 9)),
        ("D", Change(-0.02, -0.03, -0.01, 9, "parts_f1")),
    ]
    assert compare_on("static fits", "the loop", "images", found, 0.9) == (
        "The loop against static fits, PA-MPJPE and F1 of parts on images (90\u00a0% intervals): better on "
        "A (−3.2 mm); worse on D (F1 −0.020); no measurable difference on B (+1.0 mm) and C (+0.5 mm).",
    )
    assert compare_on("static fits", "the loop", "images", [], 0.9) == ()


def test_numbers_have_a_sign_unless_they_are_zero():
    assert [signed(value) for value in (-3.21, 2.0, 0.0, -0.01)] == ["−3.2", "+2.0", "0.0", "0.0"]
    assert signed(-0.012, 3) == "−0.012"
