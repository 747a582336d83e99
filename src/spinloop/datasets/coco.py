"""COCO person keypoints (2014 and 2017), and labels of other tools in the same layout → records.

Expected tree, as distributed: `annotations/person_keypoints_<subset>.json` and the images in `<subset>/` (or
`images/<subset>/`). A joint is visible if it is labelled (v > 0, also when hidden behind something). Joints
are COCO's 17, or those that the category of people names, in its order.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.joints import COCO17, COMMON24, LIMB12, JointSet
from spinloop.keypoints.layouts import MIN_KNOWN, joint_of_name
from spinloop.params.datasets import CocoSource
from spinloop.tables.images import find_image, is_present, read_size_or_none
from spinloop.tables.records import Box, ReadCounts, Record, bounding_square, common_joints, make_id

_FIX = "docs/formats.md shows the layout"
_PEOPLE = ("person", "human", "people", "pedestrian")
_MAX_ID = 2**53  # crowds of the published files have numbers of twelve digits
_FAR_PX = 1e5


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
        counts: what is left out: `other_category`, `crowd`, `no_visible_joint`, `too_few_limb_joints`,
            `empty_box`, `absent_image`, `unreadable_image`, `image_size_differs`, `image_not_listed`,
            `duplicate_id`, and `wrong_…` with the name of a field that is not as it must be.

    Raises:
        UserError: a file or folder is absent, the file is not in COCO's layout, or names joints of which too
            few are known.
    """
    path = raw / "annotations" / f"person_keypoints_{source.subset}.json"
    content = _read(path)
    category, joints = _category(path, content.get("categories"))
    images = _images(raw, source.subset, content["images"], counts)
    people = list(_people(split, content["annotations"], category, len(joints), images, counts))
    if not is_official:
        people.sort(key=lambda one: (one[1].path, one[0].id))
    limbs_needed = len(LIMB12) if is_official else source.min_limb_joints
    size_of = lru_cache(maxsize=256)(read_size_or_none)
    for person, image in people:
        name = make_id(split, image.path, person.id)
        keypoints = _keypoints(person, joints)
        box = person.box(keypoints, source.box_factor)
        reason = _reason_to_reject(person, keypoints, box, limbs_needed)
        if reason is None:
            is_there = is_present(raw / image.path)
            size = size_of(raw / image.path) if is_there else None
            if size != (image.height, image.width):
                reason = "unreadable_image" if is_there else "absent_image"
                reason = reason if size is None else "image_size_differs"
        if reason is not None or box is None:
            counts.leave_out(reason or "empty_box", name)
            continue
        counts.keep()
        yield Record(
            id=name,
            image=image.path,
            image_height=image.height,
            image_width=image.width,
            center=box.center,
            scale=box.scale,
            keypoints=keypoints,
            person=person.id,
            image_id=image.id,
        )


class _Image(NamedTuple):
    path: str
    """Below the data set's folder."""
    height: int
    width: int
    id: str


def _numbers(value: Any) -> np.ndarray:
    """A flat list of numbers; JSON's own types only."""
    array = np.asarray([] if value is None else value)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "fiu"):
        raise ValueError("not a list of numbers")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0.0) > _FAR_PX:
        raise ValueError("a number is not finite, or too large to be a pixel")
    return numbers


def _whole(value: Any) -> Any:
    """1.0, as some tools write a number, is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Numbers = Annotated[np.ndarray, BeforeValidator(_numbers)]
_Number = Annotated[int | str, BeforeValidator(_whole)]


class _Listed(BaseModel):
    """An entry of `images`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: _Number
    file_name: str
    height: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=_FAR_PX)]
    width: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=_FAR_PX)]


class _Person(BaseModel):
    """An entry of `annotations`."""

    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True)

    id: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=_MAX_ID)]
    image_id: _Number
    category_id: Annotated[int | None, BeforeValidator(_whole)] = None
    iscrowd: int | bool = 0
    bbox: _Numbers = Field(default_factory=lambda: np.zeros(0))
    keypoints: _Numbers = Field(default_factory=lambda: np.zeros(0))

    def box(self, keypoints: Float[np.ndarray, "24 3"], factor: float) -> Box | None:
        """The square around the annotated box, or around the joints if there is none."""
        if self.bbox.size:
            return bounding_square(np.stack([self.bbox[:2], self.bbox[:2] + self.bbox[2:]]), factor)
        seen = keypoints[keypoints[:, 2] > 0, :2]
        return bounding_square(seen, factor) if len(seen) else None


def _keypoints(person: _Person, joints: JointSet) -> Float[np.ndarray, "24 3"]:
    """The joints that the 24 have by name; nothing is seen if none are given."""
    if not person.keypoints.size:
        return np.zeros((len(COMMON24), 3))
    given = person.keypoints.reshape(len(joints), 3)
    known = [place for place, name in enumerate(joints) if name in COMMON24]
    is_seen: Bool[np.ndarray, " J"] = given[known, 2] > 0
    return common_joints(given[known, :2], is_seen, tuple(joints[place] for place in known))


def _reason_to_reject(
    person: _Person, keypoints: Float[np.ndarray, "24 3"], box: Box | None, limbs_needed: int
) -> str | None:
    if person.iscrowd:
        return "crowd"
    if not keypoints[:, 2].any():
        return "no_visible_joint"
    if (keypoints[: len(LIMB12), 2] > 0).sum() < limbs_needed:
        return "too_few_limb_joints"
    return None if box else "empty_box"


def _read(path: Path) -> dict[str, Any]:
    """The annotation file without its outlines, which are most of its bytes and are not used."""
    content = read_json(path, keep=_without_outline)
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: {key}: list missing, so this is no COCO annotation file; {_FIX}")
    return content


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry


def _category(path: Path, categories: Any) -> tuple[int | None, JointSet]:
    """The number of the category of people, None for all entries, and the names of its joints."""
    found = [one for one in categories or () if isinstance(one, dict)] if isinstance(categories, list) else []
    named = [one for one in found if str(one.get("name", "")).lower() in _PEOPLE]
    people = named[0] if named else found[0] if len(found) == 1 else None
    if found and people is None:
        names = ", ".join(str(one.get("name")) for one in found)[:60]
        raise UserError(f"{path}: categories: none is called person, found {names}; call that of people so")
    if people is None:
        return None, COCO17
    names = people.get("keypoints") or list(COCO17)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: categories: keypoints: expected the names of the joints; {_FIX}")
    joints = tuple(joint_of_name(name) for name in names)
    known = [name for name in joints if name in COCO17]
    if len(known) < MIN_KNOWN or len(set(known)) < len(known):
        fault = "fewer than four of COCO's joints are known by name, or one is there twice"
        raise UserError(f"{path}: categories: keypoints {', '.join(names)[:60]}: {fault}; {_FIX}")
    number = people.get("id")
    return number if isinstance(number, int) else None, joints


def _images(raw: Path, subset: str, entries: list[Any], counts: ReadCounts) -> dict[int | str, _Image]:
    folder = next((one for one in (subset, f"images/{subset}") if (raw / one).is_dir()), None)
    if folder is None:
        raise UserError(
            f"{raw / subset}: no such folder; put the images there, or correct the source's `raw`"
        )
    images: dict[int | str, _Image] = {}
    for number, entry in enumerate(entries):
        try:
            listed = _Listed.model_validate(entry)
        except ValidationError as error:
            counts.flag(f"wrong_{_field(error) or 'entry'}_of_image", f"images[{number}]")
            continue
        found = find_image(raw / folder, listed.file_name)
        if found is None:
            counts.flag("image_outside_folder", listed.file_name)
            continue
        if found[1]:
            counts.flag("image_found_by_end_of_path", listed.file_name)
        images[listed.id] = _Image(f"{folder}/{found[0]}", listed.height, listed.width, str(listed.id))
    return images


def _people(
    split: str,
    entries: list[Any],
    category: int | None,
    n_joints: int,
    images: Mapping[int | str, _Image],
    counts: ReadCounts,
) -> Iterator[tuple[_Person, _Image]]:
    """The entries of people that are as they must be, each with its image; all others are counted."""
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        number = entry.get("id", f"at {place}") if isinstance(entry, dict) else f"at {place}"
        where = f"{split}: annotation {number}"
        try:
            person = _Person.model_validate(entry)
        except ValidationError as error:
            counts.leave_out(f"wrong_{_field(error) or 'entry'}", where)
            continue
        if None not in (category, person.category_id) and person.category_id != category:
            counts.leave_out("other_category", where)
        elif person.keypoints.size not in (0, 3 * n_joints):
            counts.leave_out("wrong_keypoints", where)
        elif person.bbox.size not in (0, 4):
            counts.leave_out("wrong_bbox", where)
        elif person.image_id not in images:
            counts.leave_out("image_not_listed", where)
        elif person.id in seen:
            counts.leave_out("duplicate_id", where)
        else:
            seen.add(person.id)
            yield person, images[person.image_id]


def _field(error: ValidationError) -> str:
    location = error.errors(include_url=False, include_input=False)[0]["loc"]
    return str(location[0]) if location else ""
