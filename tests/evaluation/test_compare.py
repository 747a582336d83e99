"""Two sets of predictions on the same people."""

import numpy as np
import pytest

from spinloop.evaluation.metrics import PixelCounts, mask_metrics
from spinloop.evaluation.predict import (
    Predictions,
    Scored,
    load_scored,
    paired_change,
    paired_changes,
    save_predictions,
)
from spinloop.evaluation.protocols import MaskProtocol, find_joint_protocol, find_protocol
from spinloop.evaluation.scores import MaskScores, score_joints

BOOTSTRAP = (0.95, 200, 3)


@pytest.fixture
def masks(rng):
    """Pixels of 30 images: of one that draws well and of one that draws a little worse."""
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


def test_drawing_the_same_images_makes_the_interval_of_a_change_narrow(masks):
    change = paired_change(*masks, "parts_f1", np.arange(30), *BOOTSTRAP)
    alone = masks[0].interval("parts_f1", np.arange(30), *BOOTSTRAP[:2], np.random.default_rng(3))
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


def test_what_was_measured_comes_back_from_the_file(people, masks, tmp_path):
    ids, some = [f"{number:02d}" for number in range(40)], np.array([7, 3])
    arrays = ((40, 24, 3, 3), (40, 10), (40, 3), (40, 17, 3))
    predictions = Predictions(ids, *(np.zeros(shape, np.float32) for shape in arrays))
    joints = score_joints(find_joint_protocol("mpi_inf_3dhp@1"), *people)
    save_predictions(tmp_path / "p.h5", predictions, joints, {})
    (scored,) = load_scored([tmp_path / "p.h5"])
    again = scored.scores(joints.protocol, some)
    assert set(again.values) == set(joints.values)
    for name, values in joints.values.items():
        np.testing.assert_array_equal(again.values[name], values[some])
    stored = Scored(predictions, masks[0].arrays).scores(masks[0].protocol)
    for name, values in masks[0].values.items():
        np.testing.assert_array_equal(stored.values[name], values)
