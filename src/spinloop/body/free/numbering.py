"""The order of vertices and faces: SMPL's landmark ids in place, left side first."""

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray


def number_vertices(is_right: Bool[ndarray, " V"], landmarks: dict[int, int]) -> Int[ndarray, " V"]:
    """The order that puts each landmark at its id; left side and midline come first, else the order stays.

    Args:
        is_right: vertices of the right half.
        landmarks: from final id to present index.

    Returns:
        The present index at each final id.

    Raises:
        ValueError: two landmarks are the same vertex.
    """
    if len(set(landmarks.values())) != len(landmarks):
        raise ValueError("two landmarks fall on the same vertex")
    order = np.full(len(is_right), -1)
    order[list(landmarks)] = list(landmarks.values())
    others = np.setdiff1d(np.arange(len(is_right)), list(landmarks.values()))
    order[order < 0] = others[np.argsort(is_right[others], kind="stable")]
    return order


def number_faces(faces: Int[ndarray, "F 3"], order: Int[ndarray, " V"]) -> Int[ndarray, "F 3"]:
    """Faces in new vertex numbers, each beginning with its smallest id, sorted."""
    new_id = np.empty_like(order)
    new_id[order] = np.arange(len(order))
    renamed = new_id[faces]
    first = renamed.argmin(axis=1)
    turned = np.take_along_axis(renamed, (first[:, None] + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort(turned.T[::-1])]
