"""Annotated people with the detections that are theirs: the 49 joints that everything is fitted to."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinloop.annotations.check import Column
from spinloop.annotations.detections import Detections
from spinloop.annotations.openpose import match_as_published, match_people, merge_joints
from spinloop.annotations.record import N_COMMON, RECORD, Record
from spinloop.annotations.table import Layout, load_table
from spinloop.annotations.tally import Tally
from spinloop.errors import UserError
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.joints import MODEL49
from spinloop.params.annotations import MergeParams

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
    detections: Detections | None,
    params: MergeParams,
    published: str | None,
    tally: Tally,
) -> Iterator[dict[str, Any]]:
    """Rows of the table of merged keypoints.

    Args:
        records: annotated people, those of one image after each other.
        detections: detected people by image; None if there are none at all.
        params: when a detected person is the annotated one.
        published: match as the published preprocessing does for this reader (`coco`, …); None for our match.
        tally: notes each person's `provenance` (who has no detection keeps the annotated joints) and files
            of images that nobody is annotated in (`detections_for_nobody`); counts people without any
            joint at all, who are left out (`no_visible_joint`).

    Raises:
        UserError: there are detections, but of none of the images: another split's, or in other places.
    """
    images: set[str] = set()
    is_any_seen = False
    for image, group in groupby(records, key=lambda record: record.image):
        people = list(group)
        images.add(image)
        detected = detections.of(image) if detections else None
        is_any_seen |= detected is not None
        matches = _match(people, detected, params, published)
        for record, match in zip(people, matches, strict=True):
            row = _row(record, detected, match)
            if not row["keypoints"][:, 2].any():
                tally.leave_out("no_visible_joint", record.id)
                continue
            tally.note(row["provenance"], record.id)
            tally.keep()
            yield row
    if detections is not None and images and not is_any_seen:
        _refuse_strangers(detections, min(images))
    if detections is not None:
        for name in detections.for_nobody(images):
            tally.note("detections_for_nobody", name)


def _refuse_strangers(detections: Detections, image: str) -> None:
    mismatch = detections.mismatch(image)
    if mismatch is not None:
        raise UserError(f"{mismatch}; give the split's own detections, or an empty folder if there are none")


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
