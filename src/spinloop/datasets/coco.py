"""COCO person keypoints (2014 and 2017) → records.

Expected tree, as distributed: `annotations/person_keypoints_<subset>.json` and the images in `<subset>/` (or
`images/<subset>/`). A joint is visible if COCO labels it (v > 0, also when hidden behind something).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.joints import COCO17, COMMON24, LIMB12, index_map
from spinloop.params.datasets import CocoSource
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import N_COMMON, Box, ReadCounts, Record, bounding_square, make_id

_TO_COMMON = list(index_map(COMMON24, COCO17))
_LIMBS = list(index_map(COCO17, LIMB12))
_CURE = "download COCO's annotations and unpack them there"


def read_coco(
    raw: Path, split: str, source: CocoSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of one subset, by image name and annotation id.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: subset and rules.
        is_official: keep only people with all twelve joints of arms and legs, in the file's order, as the
            published preprocessing does.
        counts: what is left out: `crowd`, `no_visible_joint`, `too_few_limb_joints`, `empty_box`,
            `unreadable_image`, `image_size_differs`.

    Raises:
        UserError: a file is absent or not COCO's, or an image is listed but absent.
    """
    path = raw / "annotations" / f"person_keypoints_{source.subset}.json"
    content = _read(path)
    images = _by_id(path, content["images"])
    folder = _image_folder(raw, source.subset)
    annotations = content["annotations"]
    if not is_official:
        annotations = sorted(
            annotations, key=lambda one: (_image_of(path, one, images)["file_name"], one["id"])
        )
    limbs_needed = len(LIMB12) if is_official else source.min_limb_joints
    sizes = _SizeCheck(raw)
    for annotation in annotations:
        listed = _image_of(path, annotation, images)
        image = f"{folder}/{listed['file_name']}"
        person = _parse(path, annotation, source.box_factor)
        name = make_id(split, image, person.number)
        reason = person.reject(limbs_needed) or sizes.reject(image, listed)
        if reason or person.box is None:
            counts.leave_out(reason or "empty_box", name)
            continue
        counts.keep()
        yield Record(
            id=name,
            image=image,
            image_height=listed["height"],
            image_width=listed["width"],
            center=person.box.center,
            scale=person.box.scale,
            keypoints=_common(person.joints),
            person=person.number,
        )


@dataclass(frozen=True)
class _Person:
    number: int
    is_crowd: bool
    joints: Float[np.ndarray, "17 3"]
    """x, y, confidence 0 or 1."""
    box: Box | None

    def reject(self, limbs_needed: int) -> str | None:
        if self.is_crowd:
            return "crowd"
        if not self.joints[:, 2].any():
            return "no_visible_joint"
        if self.joints[_LIMBS, 2].sum() < limbs_needed:
            return "too_few_limb_joints"
        return None if self.box else "empty_box"


class _SizeCheck:
    """Does the image file have the size that the annotation file says? The last answer is remembered."""

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        self._last: tuple[str, str | None] = ("", None)

    def reject(self, image: str, listed: Mapping[str, Any]) -> str | None:
        if image != self._last[0]:
            self._last = (image, self._check(image, listed))
        return self._last[1]

    def _check(self, image: str, listed: Mapping[str, Any]) -> str | None:
        try:
            size = read_size(self._raw / image)
        except UnreadableImage:
            return "unreadable_image"
        return None if size == (listed["height"], listed["width"]) else "image_size_differs"


def _read(path: Path) -> dict[str, Any]:
    """The annotation file without its outlines, which are most of its bytes and are not used."""
    content = read_json(path, keep=_without_outline)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: {key}: list missing, so this is no COCO annotation file; {_CURE}")
    for category in content["categories"]:
        if category.get("name") == "person" and tuple(category.get("keypoints", COCO17)) != COCO17:
            raise UserError(f"{path}: categories: the joints of a person are not COCO's 17 in order; {_CURE}")
    return content


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry


def _by_id(path: Path, images: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    for image in images:
        absent = {"id", "file_name", "height", "width"} - image.keys()
        if absent:
            raise UserError(f"{path}: images: an entry has no {sorted(absent)[0]}; {_CURE}")
    return {image["id"]: image for image in images}


def _image_of(path: Path, annotation: Mapping[str, Any], images: Mapping[int, Any]) -> Mapping[str, Any]:
    if annotation.get("image_id") not in images:
        where = f"annotation {annotation.get('id')}"
        raise UserError(f"{path}: {where}: image_id {annotation.get('image_id')} is not listed; {_CURE}")
    return images[annotation["image_id"]]


def _image_folder(raw: Path, subset: str) -> str:
    for folder in (subset, f"images/{subset}"):
        if (raw / folder).is_dir():
            return folder
    raise UserError(f"{raw / subset}: no such folder; download COCO's images and unpack them there")


def _parse(path: Path, annotation: Mapping[str, Any], box_factor: float) -> _Person:
    try:
        joints = np.array(annotation["keypoints"], dtype=np.float64).reshape(len(COCO17), 3)
        left, top, width, height = (float(value) for value in annotation["bbox"])
        number = int(annotation["id"])
    except (KeyError, TypeError, ValueError) as error:
        where = f"annotation {annotation.get('id')}"
        expected = "expected id, bbox of 4 numbers and keypoints of 17 × 3"
        raise UserError(f"{path}: {where}: {expected} ({error!r}); {_CURE}") from None
    visible = joints[:, 2] > 0
    joints = np.where(visible[:, None], joints, 0.0)
    joints[:, 2] = visible
    box = bounding_square(np.array([[left, top], [left + width, top + height]]), box_factor)
    return _Person(number, bool(annotation.get("iscrowd", 0)), joints, box)


def _common(joints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "24 3"]:
    common = np.zeros((N_COMMON, 3))
    common[_TO_COMMON] = joints
    return common
