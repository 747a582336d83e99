"""COCO person keypoints (2014 and 2017) → records.

Expected tree, as distributed: `annotations/person_keypoints_<subset>.json` and the images in `<subset>/` (or
`images/<subset>/`). A joint is visible if COCO labels it (v > 0, also when hidden behind something).
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.joints import COCO17, LIMB12, index_map
from spinloop.params.datasets import CocoSource
from spinloop.tables.images import read_size_or_none
from spinloop.tables.records import Box, ReadCounts, Record, bounding_square, common_joints, make_id

_LIMBS = list(index_map(COCO17, LIMB12))
_FIX = "download COCO's annotations and unpack them there"


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
    size_of = lru_cache(maxsize=256)(read_size_or_none)
    for annotation in annotations:
        listed = _image_of(path, annotation, images)
        image = f"{folder}/{listed['file_name']}"
        person = _parse(path, annotation, source.box_factor)
        name = make_id(split, image, person.number)
        reason = person.reason_to_reject(limbs_needed)
        if reason is None:
            size = size_of(raw / image)
            if size != (listed["height"], listed["width"]):
                reason = "unreadable_image" if size is None else "image_size_differs"
        if reason is not None or person.box is None:
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
            keypoints=common_joints(person.joints, person.is_annotated, COCO17),
            person=person.number,
            image_id=str(listed["id"]),
        )


class _Person(NamedTuple):
    number: int
    is_crowd: bool
    joints: Float[np.ndarray, "17 2"]
    is_annotated: Bool[np.ndarray, " 17"]
    box: Box | None

    def reason_to_reject(self, limbs_needed: int) -> str | None:
        if self.is_crowd:
            return "crowd"
        if not self.is_annotated.any():
            return "no_visible_joint"
        if self.is_annotated[_LIMBS].sum() < limbs_needed:
            return "too_few_limb_joints"
        return None if self.box else "empty_box"


def _read(path: Path) -> dict[str, Any]:
    """The annotation file without its outlines, which are most of its bytes and are not used."""
    content = read_json(path, keep=_without_outline)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: {key}: list missing, so this is no COCO annotation file; {_FIX}")
    for category in content["categories"]:
        if category.get("name") == "person" and tuple(category.get("keypoints", COCO17)) != COCO17:
            raise UserError(f"{path}: categories: the joints of a person are not COCO's 17 in order; {_FIX}")
    return content


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry


def _by_id(path: Path, images: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    for image in images:
        absent = {"id", "file_name", "height", "width"} - image.keys()
        if absent:
            raise UserError(f"{path}: images: an entry has no {sorted(absent)[0]}; {_FIX}")
    return {image["id"]: image for image in images}


def _image_of(path: Path, annotation: Mapping[str, Any], images: Mapping[int, Any]) -> Mapping[str, Any]:
    if annotation.get("image_id") not in images:
        where = f"annotation {annotation.get('id')}"
        raise UserError(f"{path}: {where}: image_id {annotation.get('image_id')} is not listed; {_FIX}")
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
        raise UserError(f"{path}: {where}: {expected} ({error!r}); {_FIX}") from None
    box = bounding_square(np.array([[left, top], [left + width, top + height]]), box_factor)
    is_crowd = bool(annotation.get("iscrowd", 0))
    return _Person(number, is_crowd, joints[:, :2], joints[:, 2] > 0, box)
