"""What COCO's annotation file says of people: boxes, outlines, joints and their visibility."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

from spinloop.joints import COCO17
from spinloop.mirror.annotator import COCO_FROM_MODEL49, COCO_SIGMA
from spinloop.mirror.staging import Marks
from spinloop.mirror.visibility import inside_image
from spinloop.params.mirror import CocoParams

# Pairs of keypoints that are drawn as limbs, counted from 1, as in the original file.
_SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
    (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def annotation_file(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], year: int
) -> dict[str, Any]:
    """The content of `person_keypoints_<subset>.json`."""
    about = f"rendered mirror of COCO {year} person keypoints"
    info = {"description": about, "version": "1.0", "year": year}
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(COCO17),
        "skeleton": [list(pair) for pair in _SKELETON],
    }
    return {
        "info": info,
        "licenses": [{"id": 1, "name": "rendered; no photograph", "url": ""}],
        "images": list(images),
        "annotations": list(annotations),
        "categories": [category],
    }


def annotate(
    marks: Marks,
    mask: Bool[np.ndarray, "H W"],
    params: CocoParams,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """What an annotator would write about a person: box, outline, area, 17 joints with their visibility.

    Args:
        marks: the true joints.
        mask: the pixels that show the person; at least one.
        params: how exactly the annotator works.
        rng: generator.
    """
    area = int(mask.sum())
    order = list(COCO_FROM_MODEL49)
    error = rng.standard_normal((17, 2)) * (params.annotation_noise * COCO_SIGMA * np.sqrt(area))[:, None]
    points = marks.pixels[order] + error
    flag = np.where(marks.is_visible[order], 2, 1)
    left_out = (flag == 1) & (rng.random(17) < params.hidden_not_annotated)
    flag[left_out | ~inside_image(points, mask.shape) | (area < params.least_keypoints_px)] = 0
    keypoints = [
        value
        for (mark_x, mark_y), state in zip(points.tolist(), flag.tolist(), strict=True)
        for value in ((round(mark_x, 2), round(mark_y, 2), state) if state else (0, 0, 0))
    ]
    return {
        "bbox": _box(mask),
        "area": area,
        "num_keypoints": int((flag > 0).sum()),
        "keypoints": keypoints,
        "segmentation": _outline(mask),
    }


def annotate_crowd(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """What COCO says of a crowd: no joints, and a mask in runs, background and crowd in turn, by columns."""
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {
        "bbox": _box(mask),
        "area": int(mask.sum()),
        "num_keypoints": 0,
        "keypoints": [0] * (3 * len(COCO17)),
        "segmentation": {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)},
    }


def _box(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    """x, y, width and height of the mask."""
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]


def _outline(mask: Bool[np.ndarray, "H W"]) -> list[list[float]]:
    """Polygons around the mask, x and y in turn, as COCO writes them."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.reshape(-1).astype(np.float64).tolist() for contour in contours if len(contour) >= 3]
