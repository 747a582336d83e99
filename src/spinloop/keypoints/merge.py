"""Where detections come from: OpenPose's folder of files, or one file of another detector's COCO joints.

Both give people of `joints.OPENPOSE25` per image. The second is a JSON list with an entry for each detected
person, as COCO's results (Detectron) and RTMPose's exports have it: `keypoints` (51 numbers, or 17 × 3, or
17 × 2 with `keypoint_scores`), and the image as `image_id` (a number that ends the image's name, as in COCO)
or as `file_name` (its path below the dataset's folder, or below the subset's).

Annotated people with the detections that are theirs: the 49 joints that everything is fitted to.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.joints import COCO17, MODEL49, N_OPENPOSE, OPENPOSE25, index_map
from spinloop.keypoints.openpose import (
    detections_places,
    match_as_published,
    match_people,
    merge_joints,
    read_openpose,
)
from spinloop.params.datasets import MergeParams
from spinloop.tables.records import N_COMMON, RECORD, ReadCounts, Record
from spinloop.tables.schema import Column, Layout
from spinloop.tables.table import load_table

_SHARED = [name for name in COCO17 if name in OPENPOSE25]
_FROM_COCO, _TO_OPENPOSE = list(index_map(COCO17, _SHARED)), list(index_map(OPENPOSE25, _SHARED))
# OpenPose's joints that lie in the middle of two of COCO's.
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_IMAGE_KEYS = ("file_name", "image", "image_name", "image_id")
_CURE = "write a list of {image_id or file_name, keypoints, score}"

People = Float[np.ndarray, "P 25 3"]


@runtime_checkable
class Detections(Protocol):
    """Detected people by image."""

    def of(self, image: str) -> People | None:
        """x, y (px), score in [0, 1] of the people of an image; None if the detector has not seen it."""
        ...

    def for_nobody(self, images: Iterable[str]) -> list[str]:
        """What there is, sorted, for images other than these."""
        ...

    def mismatch(self, image: str) -> str | None:
        """In words, what is there instead of an image's detections; None if there is nothing at all."""
        ...


def open_detections(path: Path) -> Detections:
    """Detections of a folder (OpenPose) or of a JSON file (COCO's 17 joints).

    Raises:
        UserError: there is neither, or the file is no such list.
    """
    if path.is_dir():
        return OpenPoseFolder(path)
    if path.is_file():
        return Coco17File(path)
    cure = "give OpenPose's output, a JSON file of detections, or an empty folder if there are none"
    raise UserError(f"{path}: no such folder; {cure}")


class OpenPoseFolder:
    """OpenPose's files, one for each image, in the places of `openpose.detections_places`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image_of: dict[str, str] = {}

    def of(self, image: str) -> People | None:
        """See `Detections`.

        Raises:
            UserError: the file is damaged, or could as well be that of another image.
        """
        place = self._place_of(image)
        if place is None:
            return None
        other = self._image_of.setdefault(place, image)
        if other != image:
            cure = "put every file at the path of its image"
            raise UserError(f"{self._folder / place}: of {other} or of {image}? {cure}")
        return read_openpose(self._folder / place)

    def for_nobody(self, images: Iterable[str]) -> list[str]:
        """See `Detections`; the files' paths."""
        known = {self._place_of(image) for image in images}
        files = self._folder.rglob("*_keypoints.json")
        return sorted({path.relative_to(self._folder).as_posix() for path in files} - known)

    def mismatch(self, image: str) -> str | None:
        """See `Detections`; only JSON files can be meant for detections."""
        files = self._folder.rglob("*.json")
        found = min((path.relative_to(self._folder).as_posix() for path in files), default=None)
        wanted = detections_places(image)[0]
        return found and f"{self._folder}: no file of any image: wanted e.g. {wanted}, found e.g. {found}"

    def _place_of(self, image: str) -> str | None:
        return next((place for place in detections_places(image) if (self._folder / place).is_file()), None)


class Coco17File:
    """One file of COCO's 17 joints of everybody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        content = read_json(path)
        if not isinstance(content, list):
            raise UserError(f"{path}: expected a list, found {type(content).__name__}; {_CURE}")
        people: dict[str, list[Float[np.ndarray, "25 3"]]] = defaultdict(list)
        for index, entry in enumerate(content):
            people[_image_key(path, index, entry)].append(openpose_from_coco(_joints(path, index, entry)))
        self._people = {key: np.stack(joints) for key, joints in people.items()}

    def of(self, image: str) -> People | None:
        """See `Detections`."""
        key = self._key_of(image)
        return None if key is None else self._people[key]

    def for_nobody(self, images: Iterable[str]) -> list[str]:
        """See `Detections`; names or numbers of the images."""
        return sorted(self._people.keys() - {self._key_of(image) for image in images})

    def mismatch(self, image: str) -> str | None:
        """See `Detections`."""
        found = min(self._people, default="").replace("#", "image_id ")
        return (
            f"{self._path}: nobody of any image: wanted e.g. {image}, found e.g. {found}" if found else None
        )

    def _key_of(self, image: str) -> str | None:
        """Under which key the image is listed: its path, a path below a folder of it, or its number."""
        parts = PurePosixPath(image).parts
        keys = ["/".join(parts[start:]) for start in range(len(parts))]
        number = re.search(r"(\d+)$", PurePosixPath(image).stem)
        keys += [f"#{int(number[1])}"] if number else []
        return next((key for key in keys if key in self._people), None)


def openpose_from_coco(joints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "25 3"]:
    """`joints.OPENPOSE25` of COCO's 17 joints: neck and middle of the hips between two, feet not seen.

    Args:
        joints: x, y (px), score; 0 is not seen.

    Returns:
        A middle has the lower score of its two joints, and is seen only if both are.
    """
    found = np.zeros((N_OPENPOSE, 3))
    found[_TO_OPENPOSE] = joints[_FROM_COCO]
    for name, pair in _MIDDLES.items():
        left, right = joints[list(index_map(COCO17, pair))]
        found[OPENPOSE25.index(name)] = [*(left[:2] + right[:2]) / 2, min(left[2], right[2])]
    found[found[:, 2] == 0] = 0.0
    return found


def _image_key(path: Path, index: int, entry: Any) -> str:
    value = (
        next((entry[key] for key in _IMAGE_KEYS if key in entry), None) if isinstance(entry, dict) else None
    )
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"#{value}"
    raise UserError(f"{path}: entry {index}: image_id or file_name missing, found {value!r}; {_CURE}")


def _joints(path: Path, index: int, entry: Mapping[str, Any]) -> Float[np.ndarray, "17 3"]:
    try:
        numbers = np.array(entry.get("keypoints", []), dtype=np.float64)
        if numbers.shape == (len(COCO17), 2):
            scores = np.array(entry.get("keypoint_scores", []), dtype=np.float64)
            numbers = np.concatenate([numbers, scores.reshape(len(COCO17), 1)], axis=1)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.size != 3 * len(COCO17) or not np.isfinite(numbers).all():
        found = f"found {numbers.size} or a number that is not finite"
        raise UserError(
            f"{path}: entry {index}: keypoints: expected 51 numbers (x, y, score), {found}; {_CURE}"
        )
    joints = numbers.reshape(len(COCO17), 3)
    # Scores are outputs of a network; some detectors' exceed 1, or fall below 0, by a little or by far.
    score = np.clip(joints[:, 2:], 0.0, 1.0)
    return np.concatenate([np.where(score > 0, joints[:, :2], 0.0), score], axis=1)


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
    counts: ReadCounts,
) -> Iterator[dict[str, Any]]:
    """Rows of the table of merged keypoints.

    Args:
        records: annotated people, those of one image after each other.
        detections: detected people by image; None if there are none at all.
        params: when a detected person is the annotated one.
        published: match as the published preprocessing does for this reader (`coco`, …); None for our match.
        counts: notes each person's `provenance` (who has no detection keeps the annotated joints) and files
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
                counts.leave_out("no_visible_joint", record.id)
                continue
            counts.flag(row["provenance"], record.id)
            counts.keep()
            yield row
    if detections is not None and images and not is_any_seen:
        _refuse_strangers(detections, min(images))
    if detections is not None:
        for name in detections.for_nobody(images):
            counts.flag("detections_for_nobody", name)


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
