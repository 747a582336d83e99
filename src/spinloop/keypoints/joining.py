"""Which image of a data set a detector's key means.

A key is a name or a number. A number is the id that the annotation file gives an image, where it gives one,
else the number that ends the image's name. A name is an image's path, or the end of its path, or the path
ends the name, each with or without the file's ending. A key that fits two images is refused, and so are two
keys that fit one image equally well.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from spinloop.errors import UserError
from spinloop.keypoints.detected_people import Key
from spinloop.tables.images import SUFFIXES

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Of so many keys that name an image by the number in its name, so many must name one by id.
_MIN_BY_ID = 0.5
_FIX = "name each image by its path below the dataset's folder (file_name)"
_FIX_FOLDER = "put every file at the path of its image"


class Named(NamedTuple):
    """An image of a data set."""

    path: str
    """Below the data set's folder, / between its parts."""
    id: str | None = None
    """As the annotation file numbers it."""


class Joined(NamedTuple):
    """Which key is of which image."""

    key_of: dict[str, Key]
    """By the image's path."""
    by: Counter[str]
    """How many keys were joined by `path`, `end_of_path`, `name_without_ending`, `id`, `number_in_name`."""
    strangers: list[Key]
    """Keys of no image."""


class _Fit(NamedTuple):
    image: str
    how: str
    rank: int
    """Parts of the two paths that agree; the whole path is above all."""


_WHOLE = 1000


def join_images(path: Path, keys: Sequence[Key], images: Iterable[Named]) -> Joined:
    """Give each image its key.

    Args:
        path: the detector's file or folder, for messages.
        keys: what it names, each once.
        images: the data set's, each once.

    Raises:
        UserError: a key fits several images, or several keys one.
    """
    index = _Index(images, has_paths=any("/" in _clean(key.name or "") for key in keys))
    numbers = _by_number(path, [key for key in keys if key.name is None], index)
    fits: dict[Key, list[_Fit]] = {
        key: index.fits(key.name) for key in keys if key.name is not None
    } | numbers
    claims: dict[str, list[tuple[Key, _Fit]]] = defaultdict(list)
    whole = {key for key, found in fits.items() if any(fit.rank == _WHOLE for fit in found)}
    for key in whole:
        fit = _only(path, key, fits[key])
        claims[fit.image].append((key, fit))
    taken = set(claims)
    for key, found in fits.items():
        free = [fit for fit in found if fit.image not in taken]
        if key not in whole and free:
            fit = _only(path, key, free)
            claims[fit.image].append((key, fit))
    key_of: dict[str, Key] = {}
    by: Counter[str] = Counter()
    for image, ones in claims.items():
        best = max(fit.rank for _, fit in ones)
        rivals = [(key, fit) for key, fit in ones if fit.rank == best]
        if len(rivals) > 1:
            first, second = sorted(str(key) for key, _ in rivals)[:2]
            raise UserError(f"{path}: {first} and {second} both name {image}; {_fix(path)}")
        key_of[image] = rivals[0][0]
        by[rivals[0][1].how] += 1
    used = set(key_of.values())
    return Joined(key_of, by, [key for key in keys if key not in used])


def _only(path: Path, key: Key, found: Sequence[_Fit]) -> _Fit:
    """The best fit of a key; an error if there are two."""
    best = max(fit.rank for fit in found)
    rivals = [fit for fit in found if fit.rank == best]
    if len(rivals) > 1:
        first, second = sorted(fit.image for fit in rivals)[:2]
        raise UserError(f"{path}: {key}: of {first} or of {second}? {_fix(path)}")
    return rivals[0]


def _fix(path: Path) -> str:
    return _FIX_FOLDER if path.is_dir() else _FIX


def aliases(image: str) -> list[str]:
    """The names of an image without ending: its own, and of a frame of a video the one of its number.

    OpenPose's `--video` numbers frames from 0, with twelve digits.
    """
    path = PurePosixPath(image)
    names = [path.with_suffix("").as_posix()]
    if path.parent.suffix.lower() in SUFFIXES and path.stem.isdecimal():
        video = path.parent
        names.append(video.with_name(f"{video.stem}_{int(path.stem) - 1:012d}").as_posix())
    return names


class _Index:
    """Images by all that a detector may call them."""

    def __init__(self, images: Iterable[Named], has_paths: bool) -> None:
        self._has_paths = has_paths
        self._whole: dict[str, str] = {}
        self._stems: dict[str, set[str]] = defaultdict(set)
        # By the last part, and by the last two: a frame's name alone may be that of thousands.
        self._ends: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.by_id: dict[str, set[str]] = defaultdict(set)
        self.by_number: dict[int, set[str]] = defaultdict(set)
        for image in images:
            self._add(image)

    def _add(self, image: Named) -> None:
        self._whole[image.path] = image.path
        for name in aliases(image.path):
            self._stems[name].add(image.path)
            parts = name.split("/")
            self._ends[parts[-1]].append((name, image.path))
            if len(parts) > 1:
                self._ends["/".join(parts[-2:])].append((name, image.path))
        if image.id is not None:
            self.by_id[image.id].add(image.path)
        if number := re.search(r"(\d+)$", PurePosixPath(image.path).stem):
            self.by_number[int(number[1])].add(image.path)

    def fits(self, name: str) -> list[_Fit]:
        """All images that a name can mean."""
        name = _clean(name)
        has_ending = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
        stem = PurePosixPath(name).with_suffix("").as_posix() if has_ending else name
        fits = {fit.image: fit for fit in self._of_stem(stem)}
        if has_ending:
            same = {image: fit for image, fit in fits.items() if _has_same_name(image, name)}
            # An image of the same name, ending included, stands before one of another ending.
            fits = same or {image: fit._replace(how="name_without_ending") for image, fit in fits.items()}
        elif not fits and name in self.by_id:
            return [_Fit(image, "id", _WHOLE) for image in self.by_id[name]]
        elif "/" not in name:
            fits = {image: fit._replace(how="name_without_ending") for image, fit in fits.items()}
        return list(fits.values())

    def _of_stem(self, stem: str) -> Iterable[_Fit]:
        parts = stem.split("/")
        if whole := self._stems.get(stem):
            is_sure = len(parts) > 1 or self._has_paths or len(self._ends[stem]) == len(whole)
            if is_sure:
                return [_Fit(image, "path", _WHOLE) for image in whole]
        found: list[_Fit] = []
        for name, image in self._ends.get("/".join(parts[-2:]), ()):
            other = name.split("/")
            if other[-len(parts) :] == parts:
                found.append(_Fit(image, "path" if other == parts else "end_of_path", len(parts)))
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            found += [_Fit(image, "end_of_path", len(parts) - start) for image in self._stems.get(end, ())]
        best = {fit.image: fit for fit in sorted(found, key=lambda fit: fit.rank)}
        return best.values()


def _clean(name: str) -> str:
    """A path with / between its parts, whatever system wrote it."""
    name = name.replace("\\", "/")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _has_same_name(image: str, name: str) -> bool:
    return PurePosixPath(image).name == PurePosixPath(name).name


def _by_number(path: Path, keys: Sequence[Key], index: _Index) -> dict[Key, list[_Fit]]:
    """Fits of the keys that are numbers: all by id, or all by the number that ends a name."""
    by_id = {key: index.by_id.get(str(key.number), set()) for key in keys}
    in_name = {key: index.by_number.get(key.number or 0, set()) for key in keys}
    n_id, n_name = (sum(bool(found) for found in table.values()) for table in (by_id, in_name))
    if 0 < n_id < _MIN_BY_ID * n_name:
        counts = f"{n_id} of {len(keys)} numbers are ids of the annotation file, {n_name} end a file name"
        raise UserError(f"{path}: image_id: {counts}, so they may mean either; {_FIX}")
    table, how = (by_id, "id") if n_id else (in_name, "number_in_name")
    return {key: [_Fit(image, how, _WHOLE - 1) for image in found] for key, found in table.items()}
