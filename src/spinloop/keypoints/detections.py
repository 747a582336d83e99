"""Detections of people, whatever detector wrote them: one reader for a file and for a folder of files.

`open_detections` recognises what is there by its content (`detector_files`), and gives people of
`joints.OPENPOSE25` by image. Files of OpenPose's `--write_json` are read one by one, as they are wanted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.joints import LIMB12, N_OPENPOSE, OPENPOSE25, index_map
from spinloop.keypoints.detected_people import FIX, Faults, FileContent, Key
from spinloop.keypoints.detector_files import read_detector_file
from spinloop.keypoints.joining import Joined, Named, join_images
from spinloop.keypoints.layouts import LAYOUTS, Layout, People, layout_of_word
from spinloop.keypoints.openpose import ENDING, detections_path
from spinloop.tables.records import ReadCounts

_DETECTED_LIMBS = list(index_map(OPENPOSE25, LIMB12))
# Where people cannot tell BODY_25 from BODY_25B, most of the folder's first files do.
_N_ASKED = 50


class ImageDetections(NamedTuple):
    """The people that were found in one image."""

    key: Key
    """Which image, as the detector says it."""
    file: Path
    """Where it was read."""
    people: People
    """x, y (px of the upright image), score in [0, 1]; no rows if nobody was found."""


class Detections:
    """Detected people by image, from one file or folder; made by `open_detections`."""

    def __init__(self, path: Path, forced: Layout | None) -> None:
        self.path = path
        self.faults = Faults()
        self._forced, self._usual = forced, LAYOUTS["body_25"]
        self._read_as: dict[Path, str] = {}
        self._of_key: dict[Key, tuple[Path, People | None]] = {}
        if path.is_dir():
            self._open_folder()
            return
        content = self._read(path, Key(_stem(path.name)))
        if content is None:
            raise UserError(f"{path}: no file of a detector; {FIX}")
        self._add(path, content)
        if self.faults.first and not any(len(people) for people in content.people.values()):
            raise UserError(self.faults.first)

    @property
    def read_as(self) -> Counter[str]:
        """What the files that were read so far were taken for, and how many each."""
        return Counter(self._read_as.values())

    def describe(self) -> str:
        """One line for the screen: what was taken for what, and what was left out."""
        read = ", ".join(f"{count} × {words}" for words, count in self.read_as.most_common()) or "no file"
        places = sorted(self.faults.places.items())
        left_out = ", ".join(f"{len(ones)} {reason.replace('_', ' ')}" for reason, ones in places)
        return f"{self.path}: read as {read}" + (f"; left out: {left_out}" if left_out else "")

    @property
    def keys(self) -> list[Key]:
        """The images that are named, in order."""
        return list(self._of_key)

    def __iter__(self) -> Iterator[ImageDetections]:
        """All images that have detections, read one by one; see `require_any`."""
        for key, (file, _) in self._of_key.items():
            people = self.of_key(key)
            if people is not None:
                yield ImageDetections(key, file, people)

    def of_key(self, key: Key) -> People | None:
        """The people of an image; None if its file is damaged."""
        file, people = self._of_key[key]
        if people is None:
            content = self._try(file, key)
            if content is None:
                return None
            self._read_as.setdefault(file, _taken_for(content))
            people = next(iter(content.people.values()), np.zeros((0, N_OPENPOSE, 3)))
        return people

    def joined(self, images: Iterable[Named]) -> "JoinedDetections":
        """Give each image of a data set its detections.

        Raises:
            UserError: a key may mean several images, or several keys mean one.
        """
        return JoinedDetections(self, join_images(self.path, self.keys, images))

    def label(self, key: Key) -> str:
        """How a key is written for people: the file that is of this image alone, else the key."""
        file = self._of_key[key][0]
        is_of_one = file != self.path and key.name == self._name(file)
        return file.relative_to(self.path).as_posix() if is_of_one else str(key)

    def require_any(self) -> None:
        """Refuse a file or folder of which nothing at all could be used.

        Raises:
            UserError: the first fault.
        """
        if self.faults.first and not self._read_as:
            raise UserError(self.faults.first)

    def stats(self) -> dict[str, Any]:
        """For JSON: `read_as`, `left_out` by reason, `examples`."""
        return {"read_as": dict(self.read_as), **self.faults.stats()}

    def _open_folder(self) -> None:
        files = sorted(file for file in self.path.rglob("*") if file.suffix in (".json", ".npz"))
        own = [file for file in files if file.name.endswith(ENDING)]
        labels = None if files else next(iter(sorted(self.path.rglob("*.txt"))), None)
        if labels is not None and _is_label(labels):
            cure = "write `result.to_json()` of each image as <image>.json"
            raise UserError(f"{labels}: Ultralytics' label, which has no pixels; {cure}")
        for file in own:
            self._of_key[Key(self._name(file))] = (file, None)
        if own:
            self._usual = self._ask(own[:_N_ASKED])
        for file in files:
            if own and not file.name.endswith(ENDING):
                words = f"beside files *{ENDING}, so not read; give it alone if it is wanted"
                self.faults.add("file_not_read", file.relative_to(self.path).as_posix(), f"{file}: {words}")
            elif not own and (content := self._try(file, Key(self._name(file)))):
                blank = {Key(self._name(file)): np.zeros((0, N_OPENPOSE, 3))}
                self._add(file, content._replace(people=content.people or blank))

    def _name(self, file: Path) -> str:
        return _stem(file.relative_to(self.path).as_posix())

    def _ask(self, files: list[Path]) -> Layout:
        """The usual set of 25 joints: BODY_25B if more files are sure of it than of BODY_25."""
        votes: Counter[str] = Counter()
        kept, self.faults = self.faults, Faults()
        for file in files:
            content = self._try(file, Key(""))
            votes.update(content.titles if content and content.is_sure else ())
        self.faults = kept
        order = LAYOUTS["body_25"], LAYOUTS["body_25b"]
        return max(order, key=lambda layout: votes[layout.title])

    def _add(self, file: Path, content: FileContent) -> None:
        for key, people in content.people.items():
            if key in self._of_key:
                other = self._of_key[key][0]
                raise UserError(f"{file}: {key} is also in {other}; keep one file of each image")
            self._of_key[key] = (file, people)
        if content.people:
            self._read_as[file] = _taken_for(content)

    def _read(self, file: Path, default: Key) -> FileContent | None:
        return read_detector_file(file, default, self._forced, self._usual, self.faults)

    def _try(self, file: Path, default: Key) -> FileContent | None:
        """The content of a file of a folder; None, counted, if it is damaged or no detector's."""
        where = file.relative_to(self.path).as_posix()
        try:
            content = self._read(file, default)
        except UserError as error:
            self.faults.add("file_damaged", where, str(error))
            return None
        if content is None:
            self.faults.add("file_not_read", where, f"{file}: no file of a detector; {FIX}")
        return content


class JoinedDetections:
    """Detected people of the images of a data set."""

    def __init__(self, detections: Detections, joined: Joined) -> None:
        self.detections, self._joined = detections, joined

    def of(self, image: str) -> People | None:
        """The people of an image, by its path; None if nothing names it, or its file is damaged."""
        key = self._joined.key_of.get(image)
        return None if key is None else self.detections.of_key(key)

    def for_nobody(self) -> list[str]:
        """Files or keys that are of none of the images, sorted."""
        return sorted(map(self.detections.label, self._joined.strangers))

    def require_one(self, image: str) -> None:
        """Refuse detections that are of none of the images: another split's, or in other places.

        Args:
            image: the path of one of them, for the message.

        Raises:
            UserError: there are detections, but no image has one, or none could be used.
        """
        self.detections.require_any()
        strangers = self.for_nobody()
        if self._joined.key_of or not strangers:
            return
        path = self.detections.path
        is_folder = path.is_dir()
        wanted = detections_path(Path(), image).as_posix() if is_folder else image
        found = f"wanted e.g. {wanted}, found e.g. {strangers[0]}"
        cure = "give the split's own detections, or an empty folder if there are none"
        raise UserError(f"{path}: {'no file' if is_folder else 'nobody'} of any image: {found}; {cure}")

    def note(self, counts: ReadCounts) -> None:
        """Flag what of the files was left out (`detection_…`), and `detections_for_nobody`."""
        for reason, places in self.detections.faults.places.items():
            for place in places:
                counts.flag(f"detection_{reason}", place)
        for name in self.for_nobody():
            counts.flag("detections_for_nobody", name)

    def stats(self) -> dict[str, Any]:
        """For JSON: `read_as`, `joined_by` (images by the kind of key), `left_out`, `examples`."""
        return {**self.detections.stats(), "joined_by": dict(sorted(self._joined.by.items()))}

    def describe(self) -> str:
        """One line for the screen."""
        by = ", ".join(
            f"{count} by {how.replace('_', ' ')}" for how, count in sorted(self._joined.by.items())
        )
        return f"{self.detections.describe()}; joined: {by or 'none'}"


def open_detections(path: Path, layout: str = "auto") -> Detections:
    """Detections of a folder or of a file of any detector (`docs/formats.md`).

    Args:
        path: a folder, or a JSON or npz file.
        layout: a word of `layouts.LAYOUTS` if the joint set is known; `auto` recognises it.

    Raises:
        UserError: there is neither, the file is no detector's, or none of its entries can be used.
    """
    forced = layout_of_word(layout)
    if not path.is_dir() and not path.is_file():
        fix = "give a detector's output, folder or file, or an empty folder if there are none"
        raise UserError(f"{path}: no such folder; {fix}")
    return Detections(path, forced)


def count_limbs(detected: Float[np.ndarray, "25 3"]) -> int:
    """How many of the twelve joints of arms and legs a detected person has."""
    return int((detected[_DETECTED_LIMBS, 2] > 0).sum())


def _taken_for(content: FileContent) -> str:
    return ", ".join([content.program, *content.titles])


def _is_label(path: Path) -> bool:
    """Whether a text file begins with a class, a box and joints, relative to the image."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        words = stream.readline(10_000).split()
    return len(words) > 5 and all(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", word) for word in words)


def _stem(name: str) -> str:
    return name.removesuffix(ENDING).removesuffix(".json").removesuffix(".npz")
