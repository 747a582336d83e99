"""Findings about a table of annotated people that its schema cannot see: images, sides, duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.joints import COMMON24, flip_permutation
from spinloop.tables.images import is_present, read_size_or_none
from spinloop.tables.records import ReadCounts, Record

# In units of the box's side. Hips and shoulders of a person seen from the side are near each other; only
# distances above the first are judged.
_CLEAR = 0.1
_SAME_PERSON = 0.02
_MARGIN = 0.05
_LEFT_HIP, _RIGHT_HIP = (COMMON24.index(f"{side}_hip") for side in ("left", "right"))
_LEFT_SHOULDER, _RIGHT_SHOULDER = (COMMON24.index(f"{side}_shoulder") for side in ("left", "right"))
_FLIP = list(flip_permutation(COMMON24))

FATAL = (
    "image_absent", "image_unreadable", "image_size_differs", "image_in_another_split", "mask_absent",
    "mask_unreadable", "mask_size_differs",
)  # fmt: skip


def validate_records(
    records: Iterable[Record], raw: Path | None, others: set[str], counts: ReadCounts
) -> None:
    """Check every person and flag what is found.

    Args:
        records: the table, those of one image after each other.
        raw: the dataset's folder, in which images and masks are looked for; None to leave that out.
        others: image paths of splits that must share none with this one.
        counts: flags `image_absent`, `image_unreadable`, `image_size_differs`, `image_in_another_split`,
            `mask_absent`, `mask_unreadable`, `mask_size_differs`,
            `joints_outside_image`, `joints_outside_box`, `box_outside_image`,
            `shoulders_against_hips`, `sides_swapped_in_3d`, `person_twice`; and per sequence with a folder
            of its own `frame_count_differs`, where the folder has more or fewer images than frames.
    """
    image, people = "", list[Record]()
    sequences = _Sequences()
    for record in records:
        if record.image != image:
            image, people = record.image, []
        findings = Counter(_findings(record, raw, others, is_first=not people))
        if any(_is_same(record, other) for other in people):
            findings["person_twice"] += 1
        people.append(record)
        sequences.add(record)
        counts.keep()
        for finding in findings:
            counts.flag(finding, record.id)
    for finding in sequences.findings(raw) if raw is not None else ():
        counts.flag("frame_count_differs", finding)


class _Sequences:
    """The frames of each sequence, and the folders that they lie in."""

    def __init__(self) -> None:
        self._n_frames: dict[str, int] = {}
        self._places: dict[str, set[tuple[str, str]]] = defaultdict(set)

    def add(self, record: Record) -> None:
        """Count a person's frame."""
        if record.sequence is not None and record.frame is not None:
            known = self._n_frames.get(record.sequence, 0)
            self._n_frames[record.sequence] = max(known, record.frame + 1)
            image = PurePosixPath(record.image)
            self._places[image.parent.as_posix()].add((record.sequence, image.suffix))

    def findings(self, raw: Path) -> Iterator[str]:
        """Sequences whose folder has another number of images than frames."""
        for folder, holds in sorted(self._places.items()):
            if len(holds) != 1:
                continue
            ((sequence, suffix),) = holds
            count = len(list((raw / folder).glob(f"*{suffix}")))
            if count != self._n_frames[sequence]:
                yield f"{sequence}: {self._n_frames[sequence]} frames, {count} images"


def _findings(record: Record, raw: Path | None, others: set[str], is_first: bool) -> Iterator[str]:
    if is_first and record.image in others:
        yield "image_in_another_split"
    if is_first and raw is not None:
        yield from _image_findings(record, raw / record.image, "image")
        for name in filter(None, (record.mask, record.parts)):
            yield from _image_findings(record, raw / name, "mask")
    half = record.scale * BOX_UNIT_PX / 2
    size = np.array([record.image_width, record.image_height])
    if ((record.center + half <= 0) | (record.center - half >= size)).any():
        yield "box_outside_image"
    if record.keypoints is not None:
        yield from _joint_findings(record.keypoints, record.center, half, size)
        if record.joints_3d is not None and _is_swapped(record.keypoints, record.joints_3d):
            yield "sides_swapped_in_3d"


def _image_findings(record: Record, path: Path, what: str) -> Iterator[str]:
    if not is_present(path):
        yield f"{what}_absent"
        return
    size = read_size_or_none(path)
    if size is None:
        yield f"{what}_unreadable"
    elif size != (record.image_height, record.image_width):
        yield f"{what}_size_differs"


def _joint_findings(
    keypoints: Float[np.ndarray, "24 3"],
    center: Float[np.ndarray, " 2"],
    half: float,
    size: np.ndarray,
) -> Iterator[str]:
    places = keypoints[keypoints[:, 2] > 0, :2]
    slack = _MARGIN * 2 * half
    if ((places < -slack) | (places > size + slack)).any():
        yield "joints_outside_image"
    if (np.abs(places - center) > half + slack).any():
        yield "joints_outside_box"
    pairs = [(_LEFT_SHOULDER, _RIGHT_SHOULDER), (_LEFT_HIP, _RIGHT_HIP)]
    if all(keypoints[[left, right], 2].min() > 0 for left, right in pairs):
        shoulders, hips = (keypoints[left, 0] - keypoints[right, 0] for left, right in pairs)
        # A body twists by less than 90°, so the two are never clearly opposed.
        if min(abs(shoulders), abs(hips)) > _CLEAR * 2 * half and shoulders * hips < 0:
            yield "shoulders_against_hips"


def _is_swapped(keypoints: Float[np.ndarray, "24 3"], joints: Float[np.ndarray, "24 4"]) -> bool:
    """Whether the 3D joints fit the 2D joints far better with left and right exchanged."""
    return _misfit(keypoints, joints[_FLIP]) < 0.5 * _misfit(keypoints, joints)


def _misfit(keypoints: Float[np.ndarray, "24 3"], joints: Float[np.ndarray, "24 4"]) -> float:
    """Root mean square of 2D against scaled orthographic 3D, px; 0 with fewer than four common joints."""
    common = (keypoints[:, 2] > 0) & (joints[:, 3] > 0)
    if common.sum() < 4:
        return 0.0
    pixels = keypoints[common, :2] - keypoints[common, :2].mean(0)
    metres = joints[common, :2] - joints[common, :2].mean(0)
    scale = float((pixels * metres).sum() / max(float((metres * metres).sum()), 1e-12))
    return float(np.sqrt(((pixels - scale * metres) ** 2).sum(1).mean()))


def _is_same(record: Record, other: Record) -> bool:
    """Two rows for one person: all common joints, or else the boxes, in the same place."""
    side = record.scale * BOX_UNIT_PX
    if record.keypoints is None or other.keypoints is None:
        gap = np.linalg.norm(record.center - other.center) / side + abs(record.scale / other.scale - 1)
        return bool(gap < _SAME_PERSON)
    common = (record.keypoints[:, 2] > 0) & (other.keypoints[:, 2] > 0)
    if common.sum() < 4:
        return False
    gaps = np.linalg.norm(record.keypoints[common, :2] - other.keypoints[common, :2], axis=1)
    return bool(gaps.max() < _SAME_PERSON * side)
