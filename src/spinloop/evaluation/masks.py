"""How well drawn bodies cover annotated people: pixel counts per image, accuracy and F1 over a whole set.

Label maps have 0 beside the person and 1–6 on its parts; an annotation may also hold 255, "ignore". As
published, an ignored pixel counts for no part in F1, and as background in accuracy.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8

IGNORE = 255
N_CLASSES = 7
_TRUE_POSITIVE, _FALSE_POSITIVE, _FALSE_NEGATIVE = range(3)


class PixelCounts(NamedTuple):
    """Pixels of each image; sums of them are pixels of a set."""

    mask: Num[np.ndarray, "*N 2 3"]
    """True positives, false positives, false negatives of background and person."""
    mask_pixels: Num[np.ndarray, "*N 2"]
    """Right ones, all."""
    parts: Num[np.ndarray, "*N 7 3"]
    """True positives, false positives, false negatives of background and the six parts; all zero where
    parts are not annotated."""
    parts_pixels: Num[np.ndarray, "*N 2"]
    """Right ones, all; both zero where parts are not annotated."""

    def flat(self) -> Int[np.ndarray, "N 31"]:
        """One row of numbers for each image."""
        return np.concatenate([array.reshape(len(array), -1) for array in self], axis=1)

    @classmethod
    def from_flat(cls, rows: Num[np.ndarray, "*N 31"]) -> "PixelCounts":
        """The counts of images out of their rows of `flat`, or of one sum of such rows."""
        mask, mask_pixels, parts, parts_pixels = np.split(rows, [6, 8, 29], axis=-1)
        of = rows.shape[:-1]
        return cls(mask.reshape(*of, 2, 3), mask_pixels, parts.reshape(*of, N_CLASSES, 3), parts_pixels)


def count_pixels(
    predicted: UInt8[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    parts: UInt8[np.ndarray, "H W"] | None,
) -> PixelCounts:
    """Compare one image.

    Args:
        predicted: the drawn body: 0 beside it, 1–6 on its parts.
        mask: True on the annotated person.
        parts: annotated parts, 255 where they are to be ignored; None if they are not annotated.
    """
    covered = predicted > 0
    mask_counts = np.stack([_confusion(covered == label, mask == label) for label in (False, True)])
    mask_pixels = np.array([(covered == mask).sum(), mask.size])
    part_counts, part_pixels = np.zeros((N_CLASSES, 3), np.int64), np.zeros(2, np.int64)
    if parts is not None:
        counted = parts != IGNORE
        part_counts = np.stack(
            [_confusion((predicted == label) & counted, parts == label) for label in range(N_CLASSES)]
        )
        part_pixels = np.array([(predicted == np.where(counted, parts, 0)).sum(), parts.size])
    return PixelCounts(mask_counts, mask_pixels, part_counts, part_pixels)


def class_f1(counts: Num[np.ndarray, "*N C 3"]) -> Float[np.ndarray, "*N C"]:
    """F1 of each class, 2 TP / (2 TP + FP + FN).

    A class that is neither annotated nor predicted is predicted without fault: its F1 is 1.
    """
    doubled = 2.0 * counts[..., _TRUE_POSITIVE]
    total = doubled + counts[..., _FALSE_POSITIVE] + counts[..., _FALSE_NEGATIVE]
    return np.where(total > 0, doubled / np.where(total > 0, total, 1.0), 1.0)


def mask_metrics(counts: PixelCounts) -> dict[str, Float[np.ndarray, "*N"]]:
    """Accuracies (percent) and mean F1 over classes, of each image or of a total.

    Where parts are not annotated, their metrics are not a number.
    """
    metrics = {}
    for name, classes, pixels in (
        ("mask", counts.mask, counts.mask_pixels),
        ("parts", counts.parts, counts.parts_pixels),
    ):
        right, total = (pixels[..., column].astype(np.float64) for column in (0, 1))
        is_known = total > 0
        share = right / np.where(is_known, total, 1.0)
        metrics[f"{name}_accuracy_percent"] = np.where(is_known, 100.0 * share, np.nan)
        metrics[f"{name}_f1"] = np.where(is_known, class_f1(classes).mean(-1), np.nan)
    return metrics


def _confusion(predicted: Bool[np.ndarray, "H W"], true: Bool[np.ndarray, "H W"]) -> Int[np.ndarray, " 3"]:
    return np.array([(predicted & true).sum(), (predicted & ~true).sum(), (~predicted & true).sum()])
