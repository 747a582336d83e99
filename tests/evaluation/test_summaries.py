"""Intervals, paired differences and summaries of a split."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spinloop.body.files import PART_NAMES
from spinloop.evaluation.metrics import PixelCounts, count_pixels, mask_metrics
from spinloop.evaluation.protocols import MaskProtocol, find_joint_protocol, find_protocol
from spinloop.evaluation.scores import MaskScores, score_joints, stored_scores
from spinloop.evaluation.summaries import (
    breakdowns,
    mean_interval,
    metric_interval,
    paired_change,
    paired_changes,
    summarize,
)

BOOTSTRAP = (0.95, 200, 3)


@pytest.fixture
def masks(rng):
    """Pixels of 30 images: of good predictions and of slightly worse ones."""
    protocol = find_protocol("lsp@1")
    assert isinstance(protocol, MaskProtocol)
    parts = rng.integers(20, 90, (30, 7, 3))
    sides = [np.stack([10 * parts[..., 0], parts[..., 1] + worse, parts[..., 2]], -1) for worse in (0, 9)]
    mask, pixels = rng.integers(20, 90, (30, 2, 3)), np.tile([900, 1000], (30, 1))
    return [MaskScores(protocol, PixelCounts(mask, pixels, side, pixels)) for side in sides]


def test_the_change_of_a_set_is_the_difference_of_its_numbers(masks):
    first, second = masks
    change = paired_change(first, second, "parts_f1", np.arange(30), *BOOTSTRAP)
    totals = [PixelCounts(*(array.sum(0) for array in each.counts)) for each in masks]
    one, other = (float(mask_metrics(total)["parts_f1"]) for total in totals)
    assert change.mean == pytest.approx(other - one, abs=1e-12)
    assert change.low <= change.mean <= change.high < 0


def test_resampling_the_same_images_makes_the_interval_of_a_change_narrow(masks):
    change = paired_change(*masks, "parts_f1", np.arange(30), *BOOTSTRAP)
    alone = metric_interval(masks[0], "parts_f1", np.arange(30), *BOOTSTRAP[:2], np.random.default_rng(3))
    assert change.high - change.low < 0.5 * (alone.high - alone.low)
    same = paired_change(masks[0], masks[0], "mask_f1", np.arange(30), *BOOTSTRAP)
    assert same == (0.0, 0.0, 0.0)


def test_every_metric_has_its_change(people):
    predicted, annotated = people
    protocol, groups = find_joint_protocol("h36m_p1@1"), np.arange(40)
    scores = [score_joints(protocol, seen, annotated) for seen in (predicted, 0.5 * predicted)]
    changes = paired_changes(*scores, groups, *BOOTSTRAP)
    for name in protocol.metrics:
        expected = (scores[1].values[name] - scores[0].values[name]).mean()
        assert changes[name] == pytest.approx(expected, abs=1e-9)
        assert changes[f"{name}_low"] <= changes[name] <= changes[f"{name}_high"]


def test_mask_scores_come_back_from_their_arrays(masks):
    stored = stored_scores(masks[0].protocol, masks[0].arrays)
    for name, values in masks[0].values.items():
        np.testing.assert_array_equal(stored.values[name], values)


def _image(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = (5, 7)
    parts = rng.integers(0, 7, size).astype(np.uint8)
    predicted = np.where(rng.random(size) < 0.7, parts, rng.integers(0, 7, size)).astype(np.uint8)
    return predicted, parts > 0, parts


def test_the_interval_of_a_set_is_made_from_all_pixels_not_from_the_mean_over_images():
    images = [_image(seed) for seed in range(30)]
    counts = [count_pixels(*image) for image in images]
    stacked = PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True)))
    protocol = find_protocol("lsp@1")
    scores = MaskScores(protocol, stacked)
    whole = PixelCounts(*(array.sum(0) for array in stacked))
    for name, value in mask_metrics(whole).items():
        rng = np.random.default_rng(0)
        mean, low, high = metric_interval(scores, name, np.arange(30), 0.95, 400, rng)
        assert mean == pytest.approx(float(value), abs=1e-9)
        assert low < mean < high
    assert scores.values["mask_f1"].shape == (30,)
    assert list(scores.parts) == ["background", *PART_NAMES]


def test_the_summary_is_flat_numbers_with_intervals_joints_and_sequences(people):
    records = pd.DataFrame({"id": [f"a/{n}#0" for n in range(40)], "sequence": ["s", "t"] * 20})
    scores = score_joints(find_joint_protocol("h36m_p1@1"), *people)
    summary = summarize(scores, records, 0.95, 200, seed=1)
    assert summary["protocol"] == "h36m_p1@1"
    assert (summary["n"], summary["n_groups"]) == (40, 2)
    for name, values in scores.values.items():
        assert summary[name] == pytest.approx(values.mean())
        assert summary[f"{name}_low"] <= summary[name] <= summary[f"{name}_high"]
        assert summary["by"]["sequence"]["t"][name] == pytest.approx(values[1::2].mean())
    assert list(summary["by"]) == ["sequence"]
    knees = summary["parts"]["right_knee"]
    assert knees["mpjpe_mm"] == pytest.approx(scores.joint_mpjpe_mm[:, 1].mean())


def test_scenes_and_activities_are_given_where_the_data_name_them(people):
    sequences = ["TS1", "TS3", "TS4", "TS6"] * 10
    activities = ["Sports", "Sitting"] * 20
    records = pd.DataFrame({"id": map(str, range(40)), "sequence": sequences, "activity": activities})
    scores = score_joints(find_joint_protocol("mpi_inf_3dhp@1"), *people)
    table = breakdowns(scores, records)
    assert {name: group["n"] for name, group in table["scene"].items()} == {
        "green screen": 10,
        "no green screen": 20,
        "outdoor": 10,
    }
    sports = scores.values["pck_percent"][::2].mean()
    assert table["activity"]["Sports"]["pck_percent"] == pytest.approx(sports)
    assert "activity" not in breakdowns(scores, records.drop(columns="activity"))
    assert "scene" not in breakdowns(scores, records.assign(sequence="downtown"))


def test_interval_of_independent_samples_agrees_with_the_normal_theory(rng):
    values = rng.normal(60.0, 12.0, 400)
    interval = mean_interval(values, np.arange(400), 0.95, 4000, rng)
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20.0
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15)


def test_interval_agrees_with_scipys_bootstrap(rng):
    values = rng.exponential(30.0, 150)
    ours = mean_interval(values, np.arange(150), 0.9, 4000, rng)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=rng
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.5)


def test_frames_of_one_sequence_are_not_independent(rng):
    level = np.repeat(rng.normal(60.0, 10.0, 12), 30)
    values = level + rng.normal(0.0, 1.0, 360)
    alone = mean_interval(values, np.arange(360), 0.95, 500, rng)
    together = mean_interval(values, np.repeat(np.arange(12), 30), 0.95, 500, rng)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_same_seed_gives_the_same_interval(rng):
    values, groups = rng.normal(size=50), rng.integers(0, 9, 50)
    first, second = (mean_interval(values, groups, 0.95, 100, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_equal_values_have_an_interval_of_no_width(rng):
    assert mean_interval(np.zeros(5), np.arange(5), 0.95, 50, rng) == (0.0, 0.0, 0.0)


def test_no_samples_is_refused(rng):
    with pytest.raises(ValueError, match="no samples"):
        mean_interval(np.empty(0), np.empty(0), 0.95, 10, rng)
