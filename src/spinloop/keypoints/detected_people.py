"""The one check that every person of a detector's file passes before anything uses it.

Types and shapes by pydantic, entry by entry; numbers over all people at once. A wrong entry is left out and
counted with its place and the reason; the others stay.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from spinloop.joints import N_OPENPOSE
from spinloop.keypoints.layouts import LAYOUTS, Layout, People, is_body_25b, layout_of_count, to_body_25

FIX = "docs/formats.md shows what is read"
# Coordinates within ± this are normalised to the image, not in pixels; beyond the other they are no pixels.
_NORMALIZED, _FAR_PX = 2.0, 1e5


class Key(NamedTuple):
    """Which image something was detected in, as the file says it."""

    name: str | None
    """A path, a file name or a stem; of a frame of a video `<stem>_<frame from 0, 12 digits>`."""
    number: int | None = None
    """`image_id`, where that is a number."""

    def __str__(self) -> str:
        return self.name if self.name is not None else f"image_id {self.number}"


class Faults:
    """What of a detector's files was left out: by reason, the places."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}
        self.first: str | None = None
        """The first fault in words, for a message."""

    def add(self, reason: str, where: str, words: str) -> None:
        """Count one.

        Args:
            reason: an identifier, e.g. `not_finite`.
            where: the entry or file.
            words: the whole sentence, beginning with the file.
        """
        self.places.setdefault(reason, []).append(where)
        self.first = self.first or words

    def stats(self) -> dict[str, Any]:
        """For JSON: counts by reason, and the first places of each."""
        return {
            "left_out": {reason: len(places) for reason, places in sorted(self.places.items())},
            "examples": {reason: places[:3] for reason, places in sorted(self.places.items())},
        }


class FileContent(NamedTuple):
    """The people of one file."""

    program: str
    """Whose file it is."""
    titles: list[str]
    """Joint sets in it."""
    people: dict[Key, People]
    """By image, px of the image; no rows where nobody was found."""
    is_sure: bool
    """Whether its people tell BODY_25 and BODY_25B apart, if it has 25 joints."""


Entry = tuple[Key | None, str, Any, tuple[str, ...]]
"""Image, place in the file, value, and the names that `keypoints` may have in it."""


class Choice(NamedTuple):
    """Which joint set people have."""

    forced: Layout | None
    named: Layout | None
    usual: Layout

    def of(self, count: int, people: Float[np.ndarray, "P K 3"]) -> tuple[Layout | None, bool]:
        """The set of people with so many joints, None if there is no such; and whether it is sure."""
        given = self.forced or self.named
        if given is not None:
            return (given if len(given.joints) == count else None), True
        if count != N_OPENPOSE:
            return layout_of_count(count), True
        is_25b = is_body_25b(people)
        return (
            self.usual if is_25b is None else LAYOUTS["body_25b" if is_25b else "body_25"]
        ), is_25b is not None

    def wanted(self, count: int) -> str:
        """In words, why there is no set of so many joints."""
        given = self.forced or self.named
        if given is not None:
            return (
                f"expected the {len(given.joints)} joints of {given.title}, found {count}; correct --format"
            )
        counts = ", ".join(str(one) for one in sorted({len(layout.joints) for layout in LAYOUTS.values()}))
        return f"found {count} joints, of no known set ({counts}); if they are two sets', say --format"


def _numbers(value: Any) -> np.ndarray:
    """A list of numbers, flat or nested, or Ultralytics' `{x, y, visible}`, as an array."""
    if isinstance(value, dict):
        columns = [value.get(key) for key in ("x", "y")] + [value.get("visible", value.get("confidence"))]
        value = [column for column in columns if column is not None]
        value = list(zip(*value, strict=True)) if all(isinstance(one, list) for one in value) else None
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("lists of different lengths") from None
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise ValueError("not a list of numbers")
    return array.astype(np.float64)


_Numbers = Annotated[np.ndarray, BeforeValidator(_numbers)]


class Person(BaseModel):
    """One detected person in any of the layouts above."""

    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True)

    keypoints: _Numbers
    keypoint_scores: _Numbers | None = None
    category_id: int | None = None
    name: str | None = None

    def joints(self) -> Float[np.ndarray, "K 3"]:
        """x, y, score.

        Raises:
            ValueError: the lists do not fit together.
        """
        points, scores = self.keypoints, self.keypoint_scores
        if scores is not None and points.size == 2 * scores.size:
            return np.concatenate([points.reshape(-1, 2), scores.reshape(-1, 1)], axis=1)
        if (points.ndim == 2 and points.shape[1] != 3) or not points.size or points.size % 3:
            found = " × ".join(map(str, points.shape))
            raise ValueError(
                f"expected x, y, score of each joint, or x, y and keypoint_scores, found {found}"
            )
        return points.reshape(-1, 3)


class Found(NamedTuple):
    """A person before the check of the numbers."""

    key: Key
    where: str
    joints: Float[np.ndarray, "K 3"]


def parse_entries(path: Path, entries: Iterable[Entry], faults: Faults) -> Iterator[Found]:
    """The people of the entries; those that are no person or have no joints are counted instead."""
    checked = [_person(path, entry, faults) for entry in entries]
    kept = [one for one in checked if one is not None]
    numbers = {person.category_id for _, _, person in kept}
    # COCO's number of a person is 1; who has one category only may count from 0.
    people = {None, 1} if 1 in numbers else {None, 0}
    for key, where, person in kept:
        is_named = person.name is not None and person.name.lower() not in ("person", "")
        if person.category_id not in people or is_named:
            faults.add("other_category", where, f"{path}: {where}: not of a person; {FIX}")
            continue
        try:
            yield Found(key, where, person.joints())
        except ValueError as error:
            faults.add("no_keypoints", where, f"{path}: {where}: keypoints: {error}; {FIX}")


def _person(path: Path, entry: Entry, faults: Faults) -> tuple[Key, str, Person] | None:
    key, where, value, names = entry
    if not isinstance(value, dict):
        faults.add("no_entry", where, f"{path}: {where}: expected an object, found {value!r:.40}; {FIX}")
        return None
    if key is None:
        words = "image_id or file_name missing, or not in the list of images"
        faults.add("no_image", where, f"{path}: {where}: {words}; {FIX}")
        return None
    name = next((name for name in names if name in value), names[0])
    fields = {field: value.get(field) for field in ("keypoint_scores", "category_id", "name")}
    try:
        return key, where, Person.model_validate({"keypoints": value.get(name), **fields})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        field = str(fault["loc"][0]) if fault["loc"] else name
        field = name if field == "keypoints" else field
        words = f"{path}: {where}.{field}: {fault['msg'].removeprefix('Value error, ')}; {FIX}"
        faults.add("no_keypoints" if field == name else f"wrong_{field}", where, words)
        return None


def file_content(
    program: str, found: list[Found], keys: Iterable[Key], choice: Choice, path: Path, faults: Faults
) -> FileContent:
    """Check the numbers and bring all into BODY_25."""
    order = {key: list[tuple[int, np.ndarray]]() for key in keys}
    by_count: dict[int, list[int]] = defaultdict(list)
    for place, one in enumerate(found):
        by_count[len(one.joints)].append(place)
    titles, is_sure = list[str](), True
    for count, places in by_count.items():
        clean, reasons = _sound(np.stack([found[place].joints for place in places]))
        layout, is_known = choice.of(count, clean)
        is_sure &= is_known
        if layout is None:
            reasons = ["unknown_joints"] * len(places)
        else:
            titles.append(layout.title)
            clean = to_body_25(clean, layout.joints)
        for place, person, reason in zip(places, clean, reasons, strict=True):
            if reason:
                where = found[place].where
                words = choice.wanted(count) if layout is None else f"{_WORDS[reason]}; {FIX}"
                faults.add(reason, where, f"{path}: {where}: keypoints: {words}")
            else:
                order.setdefault(found[place].key, []).append((place, person))
    blank = np.zeros((0, N_OPENPOSE, 3))
    people = {
        key: np.stack([person for _, person in sorted(ones, key=lambda one: one[0])]) if ones else blank
        for key, ones in order.items()
    }
    return FileContent(program, titles, people, is_sure)


_WORDS = {
    "not_finite": "a number is not finite, or too large to be a pixel",
    "normalised": "all within ±2, so not in pixels of the image; let the detector write pixels "
    "(OpenPose: --keypoint_scale 0)",
}
_FAR_PX = 1e5


def _sound(people: Float[np.ndarray, "P K 3"]) -> tuple[Float[np.ndarray, "P K 3"], list[str]]:
    """Scores in [0, 1], zeros where a joint is not seen; and why a person cannot be used, or "".

    Scores are outputs of networks; some exceed 1, or fall below 0, by a little or by far.
    """
    is_finite = np.asarray(np.isfinite(people).all(axis=(1, 2)))
    people = np.where(is_finite[:, None, None], people, 0.0)
    score = np.clip(people[..., 2:], 0.0, 1.0)
    clean = np.concatenate([np.where(score > 0, people[..., :2], 0.0), score], axis=-1)
    largest = np.abs(clean[..., :2]).max(axis=(1, 2))
    reasons = np.where(~is_finite | (largest > _FAR_PX), "not_finite", "")
    is_seen = (score > 0).any(axis=(1, 2))
    reasons = np.where((reasons == "") & is_seen & (largest <= _NORMALIZED), "normalised", reasons)
    return clean, reasons.tolist()
