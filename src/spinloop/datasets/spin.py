"""SPIN's files of annotations, `dataset_extras/*.npz`, and its successors' ones, to and from our tables.

A row of theirs is a person; the image's name is all that identifies it. Ids come from that name and from how
many rows of the same image came before, unless the file has an array `id`, which ours have beside the
published arrays. Zeros stand for "not annotated" there; what is zero in all rows is left out of the file.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spinloop.datasets.training_arrays import NEEDED, SHAPES, WORDS, gender_of, read_training_arrays
from spinloop.errors import UserError
from spinloop.files import output
from spinloop.joints import N_OPENPOSE
from spinloop.keypoints.merge import merge_joints
from spinloop.tables.images import find_image, read_size_or_none
from spinloop.tables.records import ReadCounts, Record, make_id

_MASKS = "data/lsp/"


class Extras:
    """One file of SPIN's, checked."""

    def __init__(self, path: Path, split: str, raw: Path | None = None) -> None:
        """Read it.

        Args:
            path: the npz.
            split: the split's key, first part of the ids.
            raw: the dataset's folder, in which absolute names are looked for by their ends.

        Raises:
            UserError: the file is absent, damaged or no such file, or its ids are another split's.
        """
        self.path = path
        self._arrays, self.unused, self.notes = read_training_arrays(path)
        self.images = [self._image(str(name), raw) for name in self._arrays["imgname"]]
        self.occurrences = _occurrences(self.images)
        self.ids = self._ids(split)

    def _image(self, name: str, raw: Path | None) -> str:
        found = find_image(raw, name) if raw is not None else (name, False)
        if found is None:
            raise UserError(f"{self.path}: imgname: {name!r} leaves the dataset's folder; correct it")
        if found[1] and "image_found_by_end_of_path" not in self.notes:
            self.notes.append("image_found_by_end_of_path")
        return found[0]

    def __len__(self) -> int:
        return len(self.images)

    def row(self, index: int) -> dict[str, Any]:
        """The arrays' entries of a person."""
        return {key: array[index] for key, array in self._arrays.items()}

    def _ids(self, split: str) -> list[str]:
        if "id" not in self._arrays:
            pairs = zip(self.images, self.occurrences, strict=True)
            return [make_id(split, image, number) for image, number in pairs]
        ids = [str(name) for name in self._arrays["id"]]
        for name in ids:
            if not name.startswith(f"{split}/"):
                raise UserError(f"{self.path}: id: {name!r} is not of split {split}; give its --split")
        return ids


def read_people(
    extras: Extras, raw: Path, masks: str, counts: ReadCounts
) -> Iterator[tuple[Record, Float[np.ndarray, "25 3"]]]:
    """The records of a file, each with the detected joints (zeros where there are none).

    Args:
        extras: the file.
        raw: the dataset's folder, for the sizes of the images.
        masks: folder of UPi-S1h below it.
        counts: what is left out: `unreadable_image`, `empty_box`. Notes arrays that are not used
            (`array_not_used`) or stand under another name than SPIN's (`…_as_…`).

    Raises:
        UserError: an image is absent.
    """
    for name in extras.unused:
        counts.flag("array_not_used", name)
    for note in extras.notes:
        counts.flag(note, extras.path.name)
    size_of = lru_cache(maxsize=1)(read_size_or_none)
    for index, image in enumerate(extras.images):
        name, size = extras.ids[index], size_of(raw / image)
        if size is None:
            counts.leave_out("unreadable_image", name)
            continue
        row = extras.row(index)
        center, scale = np.asarray(row["center"], np.float64), float(row["scale"])
        if not np.isfinite([*center, scale]).all() or scale <= 0:
            counts.leave_out("empty_box", name)
            continue
        counts.keep()
        fields = {**_annotation(row), **_body(row), **_masks(row, masks)}
        detected = _clean(row["openpose"]) if "openpose" in row else np.zeros((N_OPENPOSE, 3))
        yield Record(name, image, *size, center, scale, person=extras.occurrences[index], **fields), detected


def keypoint_row(record: Record, detected: Float[np.ndarray, "25 3"]) -> dict[str, Any]:
    """The row of a person in the table of merged keypoints (`merge.KEYPOINTS`).

    The file does not say why a person has no detection; such rows say `no_person`.
    """
    return {
        "id": record.id,
        "center": record.center,
        "scale": record.scale,
        "keypoints": merge_joints(record.keypoints, detected),
        "provenance": "matched" if detected.any() else "no_person",
    }


def save_extras(
    path: Path, records: Iterable[Record], detections: Mapping[str, Float[np.ndarray, "25 3"]] | None
) -> int:
    """Write records as SPIN's code reads them; returns how many there were.

    Args:
        path: the npz.
        records: people, in the order that the file shall have.
        detections: detected joints by id; people who are not in it get zeros. None leaves `openpose` out.
    """
    rows = [_official_row(record, detections) for record in records]
    arrays = {key: _array(key, rows) for key in SHAPES if _is_needed(key, rows)}
    with output(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    return len(rows)


def _array(key: str, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([row[key] for row in rows], dtype=np.str_ if key in WORDS else np.float64)


def _official_row(
    record: Record, detections: Mapping[str, Float[np.ndarray, "25 3"]] | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "imgname": record.image, "center": record.center, "scale": record.scale, "part": record.keypoints,
        "openpose": None if detections is None else detections.get(record.id), "S": record.joints_3d,
        "pose": record.pose, "shape": record.betas, "has_smpl": None if record.pose is None else 1.0,
        "gender": None if record.gender is None else record.gender[0],
        "maskname": record.mask and _MASKS + record.mask.rpartition(_MASKS)[2],
        "partname": record.parts and _MASKS + record.parts.rpartition(_MASKS)[2], "id": record.id,
    }  # fmt: skip
    return {key: _blank(key) if value is None else value for key, value in values.items()}


def _blank(key: str) -> Any:
    """What stands for "not annotated"."""
    return "" if key in WORDS else np.zeros(SHAPES[key])


def _is_needed(key: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any row says something under a key; of `has_smpl`, whether the rows say different things."""
    has = [bool(row[key]) if key in WORDS else bool(np.any(row[key])) for row in rows]
    if key == "has_smpl":
        return any(has) and not all(has)
    return key in NEEDED or any(has)


def _occurrences(images: Sequence[str]) -> list[int]:
    counts: Counter[str] = Counter()
    numbers = []
    for image in images:
        numbers.append(counts[image])
        counts[image] += 1
    return numbers


def _annotation(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {"keypoints": _clean(row["part"]) if "part" in row else None,
             "joints_3d": _clean(row["S"]) if "S" in row else None}  # fmt: skip
    return {key: value if value is not None and value[:, -1].any() else None for key, value in found.items()}


def _body(row: Mapping[str, Any]) -> dict[str, Any]:
    gender = gender_of(str(row.get("gender", "")))
    if "pose" not in row or not row.get("has_smpl", 1) or not np.isfinite(row["pose"]).all():
        return {"gender": gender}
    return {"pose": row["pose"], "betas": row.get("shape"), "gender": gender}


def _masks(row: Mapping[str, Any], folder: str) -> dict[str, Any]:
    names = {"mask": str(row.get("maskname", "")), "parts": str(row.get("partname", ""))}
    return {key: f"{folder}/{name}" for key, name in names.items() if name}


def _clean(joints: Float[np.ndarray, "J C"]) -> Float[np.ndarray, "J C"]:
    """Confidences in [0, 1], and zeros where there is none."""
    joints = np.where(np.isfinite(joints).all(axis=1, keepdims=True), joints, 0.0)
    confidence = np.clip(joints[:, -1:], 0.0, 1.0)
    return np.concatenate([np.where(confidence > 0, joints[:, :-1], 0.0), confidence], axis=1)
