"""Similarity alignment of point sets (Procrustes analysis), reflections excluded.

Apart from the other rotations because it needs no torch.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Similarity(NamedTuple):
    """x ↦ scale · rotation · x + translation, one per sample."""

    rotation: Float[np.ndarray, "N 3 3"]
    scale: Float[np.ndarray, " N"]
    translation: Float[np.ndarray, "N 3"]

    def apply(self, points: Float[np.ndarray, "N J 3"]) -> Float[np.ndarray, "N J 3"]:
        """The points of each sample after its map."""
        rotated = np.einsum("nij,nkj->nki", self.rotation, points)
        return self.scale[:, None, None] * rotated + self.translation[:, None]


def similarity(source: Float[np.ndarray, "N J 3"], target: Float[np.ndarray, "N J 3"]) -> Similarity:
    """The least-squares similarity from each source to its target.

    A source whose points coincide is translated to the target's mean, at scale 1.

    Source:
        Umeyama 1991; SPIN's `utils/pose_utils.py` gives the same result for non-degenerate input.
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    source_mean, target_mean = source.mean(1), target.mean(1)
    centered, wanted = source - source_mean[:, None], target - target_mean[:, None]
    left, singular, right = np.linalg.svd(np.einsum("nki,nkj->nij", wanted, centered))
    signs = np.ones_like(singular)
    signs[:, -1] = np.sign(np.linalg.det(left @ right))
    rotation = (left * signs[:, None]) @ right
    spread = (centered**2).sum((1, 2))
    is_point = spread < np.finfo(np.float64).tiny
    scale = np.where(is_point, 1.0, (singular * signs).sum(-1) / np.where(is_point, 1.0, spread))
    translation = target_mean - scale[:, None] * np.einsum("nij,nj->ni", rotation, source_mean)
    return Similarity(rotation, scale, translation)


def procrustes_align(
    source: Float[np.ndarray, "N J 3"], target: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J 3"]:
    """Each source after its least-squares similarity to its target; float64."""
    return similarity(source, target).apply(source.astype(np.float64))
