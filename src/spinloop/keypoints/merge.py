"""Annotated people with the detections that are theirs: the 49 joints that everything is fitted to."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.joints import COMMON24, LIMB12, MODEL49, N_OPENPOSE, OPENPOSE25, index_map
from spinloop.keypoints.detections import JoinedDetections
from spinloop.params.datasets import MergeParams
from spinloop.tables.records import N_COMMON, RECORD, ReadCounts, Record
from spinloop.tables.schema import Column, Layout
from spinloop.tables.table import load_table

_DETECTED_LIMBS = list(index_map(OPENPOSE25, LIMB12))
_ANNOTATED_LIMBS = list(index_map(COMMON24, LIMB12))
# Joints seen from head to foot span 1 / 1.2 of a box; those of a half-hidden person less.
_SMALLEST_EXTENT = 0.5
PROVENANCE = ("matched", "no_file", "no_person", "rejected")

# Threshold of the published match, px, by reader; all others 0.
_PUBLISHED_THRESHOLD_PX = {"mpii": 30.0, "coco": 10.0}

KEYPOINTS = Layout(
    "keypoints@1",
    (
        RECORD["id"],
        RECORD["center"],
        RECORD["scale"],
        Column(
            "keypoints", "float32", "joints.MODEL49: x, y of the original image, score (OpenPose) or 0/1",
            "px, px, 1", (len(MODEL49), 3), lower=-1e5, upper=1e5, has_confidence=True,
        ),
        Column("provenance", "string", "where the first 25 joints come from", choices=PROVENANCE),
    ),
)  # fmt: skip


def load_keypoints(path: Path) -> pd.DataFrame:
    """Read and check a table of merged keypoints (see `table.load_table`)."""
    return load_table(path, KEYPOINTS, "make it with `spinloop merge`")


def merge_records(
    records: Iterable[Record],
    detections: JoinedDetections | None,
    params: MergeParams,
    published: str | None,
    counts: ReadCounts,
) -> Iterator[dict[str, Any]]:
    """Rows of the table of merged keypoints.

    Args:
        records: annotated people, those of one image after each other.
        detections: detected people by image; None if there are none at all.
        params: when a detected person is the annotated one.
        published: match as the published preprocessing does for this reader (`coco`, …); None for our match.
        counts: notes each person's `provenance` (who has no detection keeps the annotated joints), files of
            images that nobody is annotated in (`detections_for_nobody`), and what of the detector's files
            was left out (`detection_…`); counts people without any joint at all, who are left out
            (`no_visible_joint`).

    Raises:
        UserError: there are detections, but of none of the images: another split's, or in other places.
    """
    images: set[str] = set()
    for image, group in groupby(records, key=lambda record: record.image):
        people = list(group)
        images.add(image)
        detected = detections.of(image) if detections else None
        matches = _match(people, detected, params, published)
        for record, match in zip(people, matches, strict=True):
            row = _row(record, detected, match)
            if not row["keypoints"][:, 2].any():
                counts.leave_out("no_visible_joint", record.id)
                continue
            counts.flag(row["provenance"], record.id)
            counts.keep()
            yield row
    if detections is None:
        return
    if images:
        detections.require_one(min(images))
    detections.note(counts)


def _match(
    people: list[Record], detected: np.ndarray | None, params: MergeParams, published: str | None
) -> list[int | None]:
    if detected is None or not len(detected):
        return [None] * len(people)
    blank = np.zeros((N_COMMON, 3))
    annotated = [blank if record.keypoints is None else record.keypoints for record in people]
    if published is not None:
        threshold = _PUBLISHED_THRESHOLD_PX.get(published, 0.0)
        return [match_as_published(joints, detected, threshold) for joints in annotated]
    sides = np.array([record.scale * BOX_UNIT_PX for record in people])
    centers = np.stack([record.center for record in people])
    limits = params.max_distance, params.min_common_joints
    return match_people(np.stack(annotated), centers, sides, detected, *limits)


def _row(record: Record, detected: np.ndarray | None, match: int | None) -> dict[str, Any]:
    person = None
    if detected is None:
        provenance = "no_file"
    elif not len(detected):
        provenance = "no_person"
    elif match is None:
        provenance = "rejected"
    else:
        provenance, person = "matched", detected[match]
    return {
        "id": record.id,
        "center": record.center,
        "scale": record.scale,
        "keypoints": merge_joints(record.keypoints, person),
        "provenance": provenance,
    }


def match_people(
    annotated: Float[np.ndarray, "A 24 3"],
    centers: Float[np.ndarray, "A 2"],
    box_sides: Float[np.ndarray, " A"],
    detected: Float[np.ndarray, "P 25 3"],
    max_distance: float,
    min_common_joints: int,
) -> list[int | None]:
    """Which detected person each annotated person of one image is.

    Compared are the joints of arms and legs that both see, by their mean distance relative to the side of the
    person's box; for a person without annotated joints, the middle of the detected joints with the middle of
    the box. Nobody is given to two people: of all assignments, the one with the smallest sum of distances
    wins, where a person without detection counts as `max_distance`.

    Args:
        annotated: `joints.COMMON24` of the image's annotated people; px, confidence.
        centers: middles of their boxes, px.
        box_sides: sides of their boxes, px.
        detected: `joints.OPENPOSE25`; px, score.
        max_distance: largest distance / side of the box that counts as the same person.
        min_common_joints: joints that both must see, where there are annotated joints.

    Returns:
        A row of `detected` per annotated person, or None where nobody fits.
    """
    has_joints = np.any(annotated[:, :, 2] > 0, axis=1)
    by_joints = _joint_distances(annotated, detected, min_common_joints) / box_sides[:, None]
    by_box = _box_distances(centers, box_sides, detected)
    distance = np.where(has_joints[:, None], by_joints, by_box)
    fits = distance <= max_distance
    matches: list[int | None] = [None] * len(annotated)
    for row, column in zip(*linear_sum_assignment(np.minimum(distance, max_distance)), strict=True):
        if fits[row, column]:
            matches[int(row)] = int(column)
    return matches


def match_as_published(
    annotated: Float[np.ndarray, "24 3"], detected: Float[np.ndarray, "P 25 3"], threshold_px: float
) -> int | None:
    """The detected person that the published preprocessing takes; for re-deriving its files only.

    Only people with all twelve joints compete, person 0 is taken if there is none, and a match that is far
    (relative to the extent of all rows, zeros included) is rejected only if it is also nearer than
    `threshold_px`.

    Source:
        SPIN's `read_openpose.py`, as described in the project's notes; `docs/fidelity.md#openpose-match`.
    """
    if not len(detected):
        return None
    joints = detected[:, _DETECTED_LIMBS]
    gap = np.linalg.norm(joints[..., :2] - annotated[_ANNOTATED_LIMBS, :2], axis=-1).mean(-1)
    distance = np.where((joints[..., 2] > 0).all(-1), gap, np.inf)
    nearest = int(distance.argmin())
    size = float(np.ptp(annotated[:, :2], axis=0).max())
    is_far = distance[nearest] > 0.1 * size
    return None if is_far and distance[nearest] < threshold_px else nearest


def merge_joints(
    annotated: Float[np.ndarray, "24 3"] | None, detected: Float[np.ndarray, "25 3"] | None
) -> Float[np.ndarray, "49 3"]:
    """`joints.MODEL49`: detections and annotations, each with its own score; zeros where there are none."""
    first = np.zeros((N_OPENPOSE, 3)) if detected is None else detected
    second = np.zeros((len(COMMON24), 3)) if annotated is None else annotated
    return np.concatenate([first, second])


def _joint_distances(
    annotated: Float[np.ndarray, "A 24 3"], detected: Float[np.ndarray, "P 25 3"], min_common_joints: int
) -> Float[np.ndarray, "A P"]:
    """Mean distance (px) over the common joints; infinite if there are too few."""
    mine = annotated[:, None, _ANNOTATED_LIMBS]
    theirs = detected[None, :, _DETECTED_LIMBS]
    common: Bool[np.ndarray, "A P 12"] = (mine[..., 2] > 0) & (theirs[..., 2] > 0)
    gap = np.linalg.norm(mine[..., :2] - theirs[..., :2], axis=-1)
    count = common.sum(-1)
    mean = (gap * common).sum(-1) / np.maximum(count, 1)
    return np.where(count >= min_common_joints, mean, np.inf)


def _box_distances(
    centers: Float[np.ndarray, "A 2"], sides: Float[np.ndarray, " A"], detected: Float[np.ndarray, "P 25 3"]
) -> Float[np.ndarray, "A P"]:
    """Distance of the middles / side of the box; infinite where the extents cannot be one person's."""
    seen = detected[:, :, 2:] > 0
    low = np.where(seen, detected[:, :, :2], np.inf).min(axis=1)
    high = np.where(seen, detected[:, :, :2], -np.inf).max(axis=1)
    low, high = (np.where(np.isfinite(corner), corner, 0.0) for corner in (low, high))
    gap = np.linalg.norm(centers[:, None] - (low + high)[None] / 2, axis=-1) / sides[:, None]
    extent = (high - low).max(axis=1)[None] / sides[:, None]
    return np.where((extent >= _SMALLEST_EXTENT) & (extent <= 1), gap, np.inf)
