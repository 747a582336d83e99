"""Metrics: errors of joints and vertices, pixel counts, accuracy and F1 of masks.

Errors are float64, per sample and unreduced. Inputs are metres; functions named `…_mm` return millimetres,
those named `…_percent` percent. A prediction that equals the truth bit for bit has an error of exactly 0.

Label maps are 0 beside the person and 1–6 on its parts; annotations may also hold 255, "ignore". As
published, an ignored pixel counts for no part in F1, and as background in accuracy.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8

from spinloop.geometry.procrustes import procrustes_align

MM_PER_M = 1000.0


def centered(
    points: Float[np.ndarray, "N J 3"], root: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N J 3"]:
    """Points relative to a root; float64."""
    return points.astype(np.float64) - root.astype(np.float64)[:, None]


def distances_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J"]:
    """Euclidean distance of each point; mm.

    Args:
        predicted: metres, in the same frame as `annotated` (both root-aligned, for MPJPE).
        annotated: metres.
    """
    gap = predicted.astype(np.float64) - annotated.astype(np.float64)
    return MM_PER_M * np.sqrt((gap**2).sum(-1))


def aligned_distances_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J"]:
    """Euclidean distance of each point after Procrustes alignment of the sample; mm.

    Args:
        predicted: metres; position, rotation and size do not matter, a reflection does.
        annotated: metres.

    Source:
        SPIN's reconstruction error: scale, rotation and translation by least squares over the same joints.
    """
    true = annotated.astype(np.float64)
    # The best similarity of equal point sets is the identity; solving for it would leave rounding.
    is_equal = (predicted == annotated).all(axis=(1, 2), keepdims=True)
    moved = np.where(is_equal, true, procrustes_align(predicted, annotated))
    return distances_mm(moved, true)


def mpjpe_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per joint position error; both inputs already root-aligned; mm."""
    return distances_mm(predicted, annotated).mean(-1)


def pa_mpjpe_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per joint position error after Procrustes alignment ("reconstruction error"); mm."""
    return aligned_distances_mm(predicted, annotated).mean(-1)


def pve_mm(
    predicted: Float[np.ndarray, "N V 3"], annotated: Float[np.ndarray, "N V 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per vertex error; both meshes already root-aligned; mm."""
    return distances_mm(predicted, annotated).mean(-1)


def pck_percent(errors_mm: Float[np.ndarray, "N J"], threshold_mm: float) -> Float[np.ndarray, " N"]:
    """Percentage of joints with an error below a threshold.

    Strictly below, as in MPI-INF-3DHP's own tool: at a threshold of 0 no joint counts.
    """
    return 100.0 * (errors_mm < threshold_mm).mean(-1)


def auc_percent(
    errors_mm: Float[np.ndarray, "N J"], thresholds_mm: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " N"]:
    """Mean PCK over a grid of thresholds; percent.

    With the official grid 0, 5, …, 150 mm a perfect prediction reaches 100 · 30/31.
    """
    return np.stack([pck_percent(errors_mm, threshold) for threshold in thresholds_mm]).mean(0)


IGNORE = 255
"""Label of pixels to be ignored."""
N_CLASSES = 7
_TRUE_POSITIVE, _FALSE_POSITIVE, _FALSE_NEGATIVE = range(3)


class PixelCounts(NamedTuple):
    """Pixel counts of each image; their sums are those of a set."""

    mask: Num[np.ndarray, "*N 2 3"]
    """True positives, false positives, false negatives of background and person."""
    mask_pixels: Num[np.ndarray, "*N 2"]
    """Correct pixels, all pixels."""
    parts: Num[np.ndarray, "*N 7 3"]
    """True positives, false positives, false negatives of background and the six parts; all zero where
    parts are not annotated."""
    parts_pixels: Num[np.ndarray, "*N 2"]
    """Correct pixels, all pixels; both zero where parts are not annotated."""

    def flat(self) -> Int[np.ndarray, "N 31"]:
        """One row of numbers per image."""
        return np.concatenate([array.reshape(len(array), -1) for array in self], axis=1)

    @classmethod
    def from_flat(cls, rows: Num[np.ndarray, "*N 31"]) -> "PixelCounts":
        """Inverse of `flat`, also of a sum of its rows."""
        mask, mask_pixels, parts, parts_pixels = np.split(rows, [6, 8, 29], axis=-1)
        of = rows.shape[:-1]
        return cls(mask.reshape(*of, 2, 3), mask_pixels, parts.reshape(*of, N_CLASSES, 3), parts_pixels)


def count_pixels(
    predicted: UInt8[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
    parts: UInt8[np.ndarray, "H W"] | None,
) -> PixelCounts:
    """Compare one image with its annotation.

    Args:
        predicted: the rendered body: 0 beside it, 1–6 on its parts.
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

    The F1 of a class that is neither annotated nor predicted is 1.
    """
    doubled = 2.0 * counts[..., _TRUE_POSITIVE]
    total = doubled + counts[..., _FALSE_POSITIVE] + counts[..., _FALSE_NEGATIVE]
    return np.where(total > 0, doubled / np.where(total > 0, total, 1.0), 1.0)


def mask_metrics(counts: PixelCounts) -> dict[str, Float[np.ndarray, "*N"]]:
    """Accuracies (percent) and mean F1 over classes, of each image or of a total.

    Metrics of parts are NaN where parts are not annotated.
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
