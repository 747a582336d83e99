"""Metrics against their definitions written as plain loops, and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from spinloop.evaluation import metrics
from spinloop.evaluation.metrics import IGNORE, PixelCounts, class_f1, count_pixels, mask_metrics

ROUNDING_MM = 1e-9  # float64 of values near 1 m


def _distance_mm(a, b):
    return 1000.0 * math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def test_mpjpe_equals_plain_loops(people):
    predicted, annotated = people
    by_hand = [
        sum(_distance_mm(p, a) for p, a in zip(*pair, strict=True)) / 17
        for pair in zip(predicted, annotated, strict=True)
    ]
    np.testing.assert_allclose(metrics.mpjpe_mm(predicted, annotated), by_hand, atol=ROUNDING_MM, rtol=0)


def test_pa_mpjpe_equals_alignment_with_scipy(people):
    predicted, annotated = people
    by_hand = []
    for source, target in zip(predicted, annotated, strict=True):
        a, b = source - source.mean(0), target - target.mean(0)
        rotation = Rotation.align_vectors(b, a)[0]
        turned = rotation.apply(a)
        scale = (turned * b).sum() / (a * a).sum()
        by_hand.append(np.mean([_distance_mm(p, q) for p, q in zip(scale * turned, b, strict=True)]))
    np.testing.assert_allclose(metrics.pa_mpjpe_mm(predicted, annotated), by_hand, atol=1e-7)


def test_pa_mpjpe_equals_alignment_by_quaternions(people):
    """Horn's closed form: another way to the same similarity, so near that only rounding is left."""
    by_hand = [_aligned_by_horn(*pair) for pair in zip(*people, strict=True)]
    np.testing.assert_allclose(metrics.pa_mpjpe_mm(*people), by_hand, atol=ROUNDING_MM, rtol=0)


def _aligned_by_horn(source, target):
    n, middles = len(source), [sum(points) / len(points) for points in (source, target)]
    a, b = [p - middles[0] for p in source], [q - middles[1] for q in target]
    m = [[sum(p[i] * q[j] for p, q in zip(a, b, strict=True)) for j in range(3)] for i in range(3)]
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = m
    matrix = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    w, x, y, z = np.linalg.eigh(np.array(matrix))[1][:, -1]
    turn = Rotation.from_quat([x, y, z, w])
    turned = [turn.apply(p) for p in a]
    scale = sum(float(p @ q) for p, q in zip(turned, b, strict=True)) / sum(float(p @ p) for p in a)
    return sum(_distance_mm(scale * p, q) for p, q in zip(turned, b, strict=True)) / n


def test_pve_equals_plain_loops(rng):
    seen, wanted = rng.normal(0, 0.5, (2, 3, 50, 3))
    by_hand = [
        sum(_distance_mm(p, q) for p, q in zip(*pair, strict=True)) / 50
        for pair in zip(seen, wanted, strict=True)
    ]
    np.testing.assert_allclose(metrics.pve_mm(seen, wanted), by_hand, atol=ROUNDING_MM, rtol=0)


def test_no_similarity_is_nearer_than_the_aligned_one(people):
    predicted, annotated = (points[0] for points in people)

    def squared(parameters):
        turned = math.exp(parameters[0]) * Rotation.from_rotvec(parameters[1:4]).apply(predicted)
        return float(((turned + parameters[4:] - annotated) ** 2).sum())

    starts = [
        np.r_[0.0, axis, 0.0, 0.0, 0.0] for axis in 2.0 * np.r_[np.eye(3), -np.eye(3), np.zeros((1, 3))]
    ]
    searched = min(minimize(squared, start, tol=1e-12).fun for start in starts)
    distances = metrics.aligned_distances_mm(predicted[None], annotated[None])[0] / 1000.0
    assert float((distances**2).sum()) == pytest.approx(searched, rel=1e-5)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.2, 5.0))
@settings(max_examples=25, deadline=None)
def test_any_similarity_of_the_truth_has_no_error_after_alignment(seed, scale):
    rng = np.random.default_rng(seed)
    annotated = rng.normal(0, 0.4, (3, 14, 3))
    turn = Rotation.random(3, rng=rng).as_matrix()
    moved = scale * np.einsum("nij,nkj->nki", turn, annotated) + rng.normal(size=(3, 1, 3))
    assert metrics.pa_mpjpe_mm(moved, annotated).max() < 1e-6


def test_a_mirrored_person_keeps_an_error_after_alignment(people):
    _, annotated = people
    assert metrics.pa_mpjpe_mm(annotated * np.array([-1.0, 1.0, 1.0]), annotated).min() > 50.0


def test_truth_as_prediction_is_exactly_zero(people):
    annotated = people[1].astype(np.float32)
    for metric in (metrics.mpjpe_mm, metrics.pa_mpjpe_mm, metrics.pve_mm):
        assert (metric(annotated, annotated) == 0.0).all()


def test_aligned_error_is_defined_when_all_predicted_joints_coincide(people):
    _, annotated = people
    aligned = metrics.aligned_distances_mm(np.zeros_like(annotated), annotated)
    expected = metrics.distances_mm(
        np.broadcast_to(annotated.mean(1, keepdims=True), annotated.shape), annotated
    )
    np.testing.assert_allclose(aligned, expected, atol=ROUNDING_MM)


def test_errors_of_known_size():
    annotated = np.zeros((1, 2, 3))
    predicted = np.array([[[0.003, 0.004, 0.0], [0.0, 0.0, 0.012]]])
    np.testing.assert_allclose(metrics.distances_mm(predicted, annotated), [[5.0, 12.0]], atol=ROUNDING_MM)
    assert metrics.mpjpe_mm(predicted, annotated)[0] == pytest.approx(8.5)


def test_pck_counts_strictly_nearer_joints():
    errors = np.array([[0.0, 149.999, 150.0, 151.0]])
    assert metrics.pck_percent(errors, 150.0)[0] == 50.0
    assert metrics.pck_percent(errors, 0.0)[0] == 0.0


def test_auc_equals_plain_loops_and_has_the_official_maximum(rng):
    grid = np.arange(0.0, 151.0, 5.0)
    errors = rng.uniform(0, 300, (7, 14))
    by_hand = [
        100 * sum(sum(e < t for e in row) / 14 for t in range(0, 155, 5)) / 31 for row in errors.tolist()
    ]
    np.testing.assert_allclose(metrics.auc_percent(errors, grid), by_hand, atol=1e-9)
    assert metrics.auc_percent(np.zeros((1, 14)), grid)[0] == pytest.approx(100 * 30 / 31)


def test_inputs_are_untouched(people):
    copies = [points.copy() for points in people]
    metrics.pa_mpjpe_mm(*people)
    metrics.mpjpe_mm(*people)
    for points, copy in zip(people, copies, strict=True):
        np.testing.assert_array_equal(points, copy)


def _images(seed: int, n: int = 4, has_parts: bool = True):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        size = tuple(rng.integers(3, 9, 2))
        predicted = rng.integers(0, 7, size).astype(np.uint8)
        parts = rng.choice([0, 1, 2, 3, 4, 5, 6, IGNORE], size).astype(np.uint8)
        yield predicted, rng.random(size) < 0.5, parts if has_parts else None


def _by_loops(images) -> dict[str, float]:
    """The definition, pixel by pixel: `mask_…` of two classes, `parts_…` of seven."""
    found = {}
    for name, n_classes in (("mask", 2), ("parts", 7)):
        right = total = 0
        scores = []
        for label in range(n_classes):
            both = wrong = missed = 0
            for predicted, mask, parts in images:
                for row in range(predicted.shape[0]):
                    for column in range(predicted.shape[1]):
                        if name == "mask":
                            seen, true = int(predicted[row, column] > 0), int(mask[row, column])
                            is_ignored = False
                        else:
                            seen, true = int(predicted[row, column]), int(parts[row, column])
                            is_ignored = true == 255
                        says, is_so = seen == label and not is_ignored, true == label
                        both += says and is_so
                        wrong += says and not is_so
                        missed += is_so and not says
                        if label == 0:
                            total += 1
                            right += seen == (0 if is_ignored else true)
            scores.append(2 * both / (2 * both + wrong + missed))
        found[f"{name}_f1"] = sum(scores) / n_classes
        found[f"{name}_accuracy_percent"] = 100 * right / total
    return found


def _total(images) -> PixelCounts:
    counts = [count_pixels(*image) for image in images]
    flat = PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True))).flat()
    return PixelCounts.from_flat(flat.sum(0))


@given(st.integers(0, 2**32 - 1))
def test_metrics_equal_plain_loops(seed):
    images = list(_images(seed, n=6))
    expected = _by_loops(images)
    found = mask_metrics(_total(images))
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-9), name


def test_truth_as_prediction_is_perfect_also_where_pixels_are_ignored():
    images = []
    for _, _, parts in _images(3):
        assert parts is not None
        as_predicted = np.where(parts == IGNORE, 0, parts).astype(np.uint8)
        images.append((as_predicted, as_predicted > 0, parts))
    found = mask_metrics(_total(images))
    assert {name: float(value) for name, value in found.items()} == {
        "mask_accuracy_percent": 100.0,
        "mask_f1": 1.0,
        "parts_accuracy_percent": 100.0,
        "parts_f1": 1.0,
    }


def test_an_ignored_pixel_is_background_for_accuracy_and_nothing_for_f1():
    parts = np.array([[IGNORE, 3]], np.uint8)
    counts = count_pixels(np.array([[3, 3]], np.uint8), parts > 0, parts)
    assert counts.parts_pixels.tolist() == [1, 2]
    assert counts.parts[3].tolist() == [1, 0, 0]
    assert counts.parts[0].tolist() == [0, 0, 0]


def test_the_f1_of_a_class_that_does_not_occur_is_1():
    counts = np.array([[0, 0, 0], [3, 1, 0], [0, 2, 0]])
    np.testing.assert_allclose(class_f1(counts), [1.0, 6 / 7, 0.0])


def test_metrics_of_parts_that_are_not_annotated_are_nan():
    found = mask_metrics(_total(list(_images(1, has_parts=False))))
    assert np.isnan(found["parts_f1"])
    assert np.isnan(found["parts_accuracy_percent"])
    assert 0 < found["mask_f1"] < 1


def test_counts_survive_being_flat():
    counts = [count_pixels(*image) for image in _images(5)]
    stacked = PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True)))
    for row, flat in enumerate(stacked.flat()):
        again = PixelCounts.from_flat(flat)
        for array, part in zip(stacked, again, strict=True):
            np.testing.assert_array_equal(array[row], part)
