"""Pixel counts, accuracy and F1 against plain loops written from the definition."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinloop.body.files import PART_NAMES
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.measure import Reference, score_masks
from spinloop.evaluation.metrics import IGNORE, PixelCounts, class_f1, count_pixels, mask_metrics
from spinloop.evaluation.offline_fits import as_predictions
from spinloop.evaluation.protocols import MaskProtocol, find_protocol
from spinloop.evaluation.scores import MaskScores
from spinloop.geometry.camera import camera_to_translation
from spinloop.rendering.masks import render_labels, render_labels_as_published


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


def test_a_class_that_nobody_has_and_nobody_predicts_is_without_fault():
    counts = np.array([[0, 0, 0], [3, 1, 0], [0, 2, 0]])
    np.testing.assert_allclose(class_f1(counts), [1.0, 6 / 7, 0.0])


def test_without_annotated_parts_their_metrics_are_no_numbers():
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


def test_the_interval_of_a_set_is_made_from_all_pixels_not_from_the_mean_over_images():
    images = list(_images(8, n=30))
    counts = [count_pixels(*image) for image in images]
    stacked = PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True)))
    protocol = find_protocol("lsp@1")
    scores = MaskScores(protocol, stacked)
    for name, value in _by_loops(images).items():
        rng = np.random.default_rng(0)
        mean, low, high = scores.interval(name, np.arange(30), 0.95, 400, rng)
        assert mean == pytest.approx(value, abs=1e-9)
        assert low < mean < high
    assert scores.values["mask_f1"].shape == (30,)
    assert list(scores.parts) == ["background", *PART_NAMES]


class Annotated:
    """Masks of people, by row."""

    def __init__(self, parts: list[np.ndarray | None]) -> None:
        self.parts = parts

    def mask(self, index: int, name: str) -> np.ndarray | None:
        parts = self.parts[index]
        if parts is None or name == "parts":
            return parts
        return np.where((parts > 0) & (parts != IGNORE), 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "draw"), [("lsp@1", render_labels), ("lsp_official@1", render_labels_as_published)]
)
def test_a_body_drawn_as_its_own_annotation_is_perfect(name, draw, body_files, bodies, truth):
    protocol, body = find_protocol(name), body_files["neutral"]
    assert isinstance(protocol, MaskProtocol)
    some = truth.take([0, 1, 2])
    pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (some.pose, some.betas))
    translation = torch.tensor([[0.0, 0.1, 45.0]]).repeat(3, 1)
    predictions = as_predictions(some.ids, BodyState(pose, betas, translation), bodies["neutral"], 2)
    columns = {"center": [np.array([60.0, 50.0])] * 3, "scale": [0.5] * 3}
    records = pd.DataFrame({**columns, "image_height": [90] * 3, "image_width": [120] * 3})
    vertices = bodies["neutral"].vertices(torch.from_numpy(predictions.rotations), betas)
    translation = camera_to_translation(torch.from_numpy(predictions.camera))
    seen = (vertices + translation[:, None]).numpy()
    drawn = [draw(each, body.f, body.part_labels, np.array([60.0, 50.0]), 0.5, (90, 120)) for each in seen]
    assert all(image.any() for image in drawn)
    reference = Reference(Path("lsp.parquet"), records, bodies, body, Annotated(list(drawn)))
    scores = score_masks(protocol, predictions, reference, batch_size=2)
    rng = np.random.default_rng(0)
    for metric, perfect in (("mask_f1", 1.0), ("parts_f1", 1.0), ("parts_accuracy_percent", 100.0)):
        assert scores.interval(metric, np.arange(3), 0.95, 20, rng) == (perfect, perfect, perfect)

    for masks, message in (
        (Annotated([*drawn[:2], None]), f"{some.ids[2]}: no mask"),
        (
            Annotated([drawn[0], drawn[1][1:], drawn[2]]),
            f"{some.ids[1]}: mask: 89 × 120 px, the image has 90",
        ),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            score_masks(protocol, predictions, dataclasses.replace(reference, masks=masks), batch_size=2)
