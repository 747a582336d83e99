"""Errors of predicted joints and vertices: float64, per sample, unreduced.

Metres come in; millimetres go out of functions whose name ends in `_mm`, percent out of those in `_percent`.
A prediction that equals the truth bit for bit has an error of exactly 0.
"""

import numpy as np
from jaxtyping import Float

from spinloop.geometry.procrustes import align

MM_PER_M = 1000.0


def centered(
    points: Float[np.ndarray, "N J 3"], root: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N J 3"]:
    """Points as seen from a root; float64."""
    return points.astype(np.float64) - root.astype(np.float64)[:, None]


def distances_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J"]:
    """Euclidean distance of each point; mm.

    Args:
        predicted: metres, in the same frame as `annotated` (both seen from the root, for MPJPE).
        annotated: metres.
    """
    gap = predicted.astype(np.float64) - annotated.astype(np.float64)
    return MM_PER_M * np.sqrt((gap**2).sum(-1))


def aligned_distances_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J"]:
    """Euclidean distance of each point after the sample's best similarity (Procrustes); mm.

    Args:
        predicted: metres; where it stands, how it is turned and its size do not matter, a reflection does.
        annotated: metres.

    Source:
        SPIN's reconstruction error: scale, rotation and translation by least squares over the same joints.
    """
    wanted = annotated.astype(np.float64)
    # The best similarity of equal point sets is the identity; solving for it would leave rounding.
    is_equal = (predicted == annotated).all(axis=(1, 2), keepdims=True)
    moved = np.where(is_equal, wanted, align(predicted, annotated))
    return distances_mm(moved, wanted)


def mpjpe_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per joint position error; both inputs already seen from the root; mm."""
    return distances_mm(predicted, annotated).mean(-1)


def pa_mpjpe_mm(
    predicted: Float[np.ndarray, "N J 3"], annotated: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per joint position error after Procrustes alignment ("reconstruction error"); mm."""
    return aligned_distances_mm(predicted, annotated).mean(-1)


def pve_mm(
    predicted: Float[np.ndarray, "N V 3"], annotated: Float[np.ndarray, "N V 3"]
) -> Float[np.ndarray, " N"]:
    """Mean per vertex error; both meshes already seen from the root; mm."""
    return distances_mm(predicted, annotated).mean(-1)


def pck_percent(errors_mm: Float[np.ndarray, "N J"], threshold_mm: float) -> Float[np.ndarray, " N"]:
    """Share of joints nearer than a threshold; percent.

    Strictly nearer, as in MPI-INF-3DHP's own tool: at a threshold of 0 no joint counts.
    """
    return 100.0 * (errors_mm < threshold_mm).mean(-1)


def auc_percent(
    errors_mm: Float[np.ndarray, "N J"], thresholds_mm: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " N"]:
    """Mean of the correct share of joints over a grid of thresholds; percent.

    With the official grid 0, 5, …, 150 mm a perfect prediction reaches 100 · 30/31.
    """
    return np.stack([pck_percent(errors_mm, threshold) for threshold in thresholds_mm]).mean(0)
