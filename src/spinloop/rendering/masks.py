"""Silhouettes and part labels of a mesh."""

import numpy as np
from jaxtyping import Bool, UInt8

from spinloop.rendering.raycast import Buffers

BACKGROUND = 0


def silhouette(buffers: Buffers) -> Bool[np.ndarray, "H W"]:
    """True on the mesh."""
    return buffers.mask


def part_labels(buffers: Buffers, face_labels: UInt8[np.ndarray, " F"]) -> UInt8[np.ndarray, "H W"]:
    """The label of the face that each pixel sees; 0 beside the mesh.

    Args:
        buffers: what the pixels see.
        face_labels: one label per face, from 1 up.
    """
    labels = np.where(buffers.mask, face_labels[buffers.face_index], BACKGROUND)
    return labels.astype(np.uint8)


def contour(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels of the mask with a direct neighbor outside it; beyond the image is outside."""
    inner = np.pad(mask, 1)
    core = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~core
