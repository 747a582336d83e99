"""Leeds Sports Pose (LSP) and its extension in high resolution (LSPET) → records.

Expected trees, as distributed: LSP `joints.mat` (`joints`, 3 × 14 × 2000) and `images/im0001.jpg` …
`im2000.jpg`, whose first thousand are for training (of these the images in original size) and the others for
testing; LSPET `joints.mat` (`joints`, 14 × 3 × N) and N images, `*.png` beside it (high resolution) or
`images/im00001.jpg` … (the ordinary release), paired by the number that ends the name. The third
number of a joint is its visibility; LSP annotates hidden joints too, LSPET leaves joints without a place at
visibility 0. The masks of LSP's test images are those of UPi-S1h (Unite the People), unpacked or linked into
the dataset's folder: `data/lsp/im1001_segmentation.png`, `im1001_part_segmentation.png` … in it.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from spinloop.datasets.matlab import read_mat5
from spinloop.errors import UserError, shape_fault
from spinloop.files import require_file
from spinloop.joints import LSP14
from spinloop.params.datasets import LspetSource, LspSource
from spinloop.tables.images import read_size_or_none
from spinloop.tables.records import ReadCounts, Record, common_joints, make_id, record_of_joints

_FIX = "give the joints.mat of the images that lie beside it"
# Where LSPET's images lie: in high resolution, in the ordinary release, and as others unpack these.
_LSPET_IMAGES = ("*.png", "images/*.jpg", "images/*.png", "*.jpg")
_N_TRAIN = 1000
_N_LSP = 2000


def read_lsp(
    raw: Path, split: str, source: LspSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of one half of LSP, by number of the image.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the half, the masks and the rules.
        is_official: keep joints outside the image; every joint counts as visible in any case.
        counts: what is left out: `mask_differs` (a mask is no image of the image's size), and see
            `records.record_of_joints`.

    Raises:
        UserError: `joints.mat` is absent, of another shape or without this half, or an image or a mask is
            absent.
    """
    path = raw / "joints.mat"
    joints = _read_joints(path, (3, len(LSP14), None)).transpose(2, 1, 0)
    first, last = (0, _N_TRAIN) if source.subset == "train" else (_N_TRAIN, _N_LSP)
    if not first < len(joints) <= _N_LSP:
        found = f"{source.subset} needs more than {first} people and LSP has {_N_LSP}, found {len(joints)}"
        raise UserError(f"{path}: joints: {found}; {_FIX}")
    places = joints[first:last, :, :2]
    images = [f"images/im{number:04d}.jpg" for number in range(first + 1, first + 1 + len(places))]
    is_annotated = np.isfinite(places[..., 0]) & np.isfinite(places[..., 1])
    yield from _read_people(raw, split, images, places, is_annotated, source, is_official, counts)


def read_lspet(
    raw: Path, split: str, source: LspetSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of LSPET, by name of the image.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: count every joint as annotated, also those marked as not, as the published preprocessing.
        counts: what is left out: see `records.record_of_joints`.

    Raises:
        UserError: `joints.mat` is absent or of another shape, or as many images as people are in no place.
    """
    joints = _read_joints(raw / "joints.mat", (len(LSP14), 3, None)).transpose(2, 0, 1)
    images = _lspet_images(raw, len(joints))
    places = joints[..., :2]
    is_annotated = np.isfinite(places[..., 0]) & np.isfinite(places[..., 1])
    if not is_official:
        is_annotated &= joints[..., 2] > 0
    yield from _read_people(raw, split, images, places, is_annotated, source, is_official, counts)


def _lspet_images(raw: Path, count: int) -> list[str]:
    """The images in the order of the people, of the first place that has as many as there are people."""
    found = {
        pattern: [path.relative_to(raw).as_posix() for path in raw.glob(pattern)] for pattern in _LSPET_IMAGES
    }
    images = next((names for names in found.values() if len(names) == count), None)
    if images is None:
        counts = ", ".join(f"{len(names)} {pattern}" for pattern, names in found.items() if names)
        wanted = f"{count} people in joints.mat, but {counts or 'no'} images"
        raise UserError(f"{raw}: {wanted} ({' or '.join(_LSPET_IMAGES[:2])}); {_FIX}")
    return sorted(images, key=lambda name: (int(re.sub(r"\D", "", Path(name).stem) or 0), name))


def _read_people(
    raw: Path,
    split: str,
    images: Sequence[str],
    places: Float[np.ndarray, "N 14 2"],
    is_annotated: Bool[np.ndarray, "N 14"],
    source: LspSource | LspetSource,
    is_official: bool,
    counts: ReadCounts,
) -> Iterator[Record]:
    rules = source.box_factor, source.min_limb_joints, is_official
    masks = source.masks if isinstance(source, LspSource) else None
    for image, keypoints in zip(images, common_joints(places, is_annotated, LSP14), strict=True):
        name = make_id(split, image, 0)
        record = record_of_joints(raw, name, image, 0, keypoints, None, *rules)
        if masks is not None and isinstance(record, Record):
            record = _with_masks(raw, masks, record)
        if isinstance(record, str):
            counts.leave_out(record, name)
            continue
        counts.keep()
        yield record


def _with_masks(raw: Path, folder: str, record: Record) -> Record | str:
    """The record with its two masks, or the reason to leave it out: they must have the image's size."""
    stem = f"{folder}/data/lsp/{Path(record.image).stem}"
    mask, parts = f"{stem}_segmentation.png", f"{stem}_part_segmentation.png"
    size = (record.image_height, record.image_width)
    for name in (mask, parts):
        require_file(raw / name, "unpack or link UPi-S1h there, or set the source's `masks` to null")
        if read_size_or_none(raw / name) != size:
            return "mask_differs"
    return dataclasses.replace(record, mask=mask, parts=parts)


def _read_joints(path: Path, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    joints = read_mat5(path, ["joints"], _FIX).get("joints")
    if joints is None or joints.dtype.kind not in "fiu":
        raise UserError(f"{path}: joints: array of numbers missing; {_FIX}")
    if fault := shape_fault(joints.shape, shape, free="people"):
        raise UserError(f"{path}: joints: {fault}; {_FIX}")
    return joints.astype(np.float64)
