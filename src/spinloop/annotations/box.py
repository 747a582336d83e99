"""The square box around a person: a center in px and a scale (side / 200 px), as in MPII."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.geometry.crop import BOX_UNIT_PX


class Box(NamedTuple):
    """A square box."""

    center: Float[np.ndarray, " 2"]
    """Px of the original image."""
    scale: float
    """Side / 200 px."""


def box_around(corners: Float[np.ndarray, "N 2"], factor: float) -> Box | None:
    """The box around points (px), `factor` times as wide as their longer extent.

    Returns:
        None if the points have no extent.

    Source:
        SPIN's `datasets/preprocess/`.
    """
    low, high = corners.min(0).astype(np.float64), corners.max(0).astype(np.float64)
    side = float((high - low).max())
    if side <= 0:
        return None
    return Box((low + high) / 2, factor * side / BOX_UNIT_PX)
