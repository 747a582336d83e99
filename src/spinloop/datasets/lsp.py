"""Leeds Sports Pose (LSP) and its extension in high resolution (LSPET) → records.

Expected trees, as distributed: LSP `joints.mat` (`joints`, 3 × 14 × 2000) and `images/im0001.jpg` …
`im2000.jpg`, whose first thousand are for training (of these the images in original size) and the others for
testing; LSPET `joints.mat` (`joints`, 14 × 3 × N) and N `*.png` beside it, paired by sorted name. The third
number of a joint is its visibility; LSP annotates hidden joints too, LSPET leaves joints without a place at
visibility 0. The masks of LSP's test images are those of UPi-S1h (Unite the People), unpacked or linked into
the dataset's folder: `data/lsp/im1001_segmentation.png`, `im1001_part_segmentation.png` … in it.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from spinloop.datasets.joint_rows import common_joints, make_record
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.joints import LSP14
from spinloop.params.datasets import LspetSource, LspSource
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import ReadCounts, Record, make_id

_CURE = "download the dataset again"
# What scipy raises when bytes are missing or wrong.
_DAMAGE = (
    MatReadError,
    NotImplementedError,
    OSError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    zlib.error,
)
_N_TRAIN = 1000
_N_LSP = 2000

_Read = Record | tuple[str, str]
"""A person's record, or why and under which id the person is left out."""


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
            `joint_rows.make_record`.

    Raises:
        UserError: `joints.mat` is absent, of another shape or without this half, or an image or a mask is
            absent.
    """
    path = raw / "joints.mat"
    joints = _joints(path, (3, len(LSP14), None)).transpose(2, 1, 0)
    first, last = (0, _N_TRAIN) if source.subset == "train" else (_N_TRAIN, _N_LSP)
    if not first < len(joints) <= _N_LSP:
        found = f"{source.subset} needs more than {first} people and LSP has {_N_LSP}, found {len(joints)}"
        raise UserError(f"{path}: joints: {found}; {_CURE}")
    rows = (
        (f"images/im{number:04d}.jpg", place) for number, place in enumerate(joints[first:last], first + 1)
    )
    records = _records(raw, split, rows, source, is_official, needs_flag=False)
    if source.masks is not None:
        records = _with_masks(raw, source.masks, records)
    yield from _kept(records, counts)


def read_lspet(
    raw: Path, split: str, source: LspetSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records of LSPET, by name of the image.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: count every joint as annotated, also those marked as not, as the published preprocessing.
        counts: what is left out: see `joint_rows.make_record`.

    Raises:
        UserError: `joints.mat` is absent or of another shape, or the number of images is another.
    """
    joints = _joints(raw / "joints.mat", (len(LSP14), 3, None)).transpose(2, 0, 1)
    images = sorted(path.name for path in raw.glob("*.png"))
    if len(images) != len(joints):
        raise UserError(
            f"{raw}: {len(joints)} people in joints.mat, but {len(images)} images (*.png); {_CURE}"
        )
    rows = zip(images, joints, strict=True)
    yield from _kept(_records(raw, split, rows, source, is_official, needs_flag=True), counts)


def _records(
    raw: Path,
    split: str,
    rows: Iterable[tuple[str, Float[np.ndarray, "14 3"]]],
    source: LspSource | LspetSource,
    is_official: bool,
    needs_flag: bool,
) -> Iterator[_Read]:
    for image, joints in rows:
        is_annotated = np.isfinite(joints[:, 0]) & np.isfinite(joints[:, 1])
        if needs_flag and not is_official:
            is_annotated &= joints[:, 2] > 0
        keypoints = common_joints(joints[:, :2], is_annotated, LSP14)
        rules = source.box_factor, source.min_limb_joints, is_official
        record = make_record(raw, split, image, 0, keypoints, None, *rules)
        yield (record, make_id(split, image, 0)) if isinstance(record, str) else record


def _with_masks(raw: Path, folder: str, records: Iterable[_Read]) -> Iterator[_Read]:
    """The records with their two masks, which must have the image's size."""
    for record in records:
        if isinstance(record, tuple):
            yield record
            continue
        stem = f"{folder}/data/lsp/{Path(record.image).stem}"
        mask, parts = f"{stem}_segmentation.png", f"{stem}_part_segmentation.png"
        size = (record.image_height, record.image_width)
        if all(_size(raw / name) == size for name in (mask, parts)):
            yield dataclasses.replace(record, mask=mask, parts=parts)
        else:
            yield "mask_differs", record.id


def _size(mask: Path) -> tuple[int, int] | None:
    require_file(mask, "unpack or link UPi-S1h there, or set the source's `masks` to null")
    try:
        return read_size(mask)
    except UnreadableImage:
        return None


def _kept(records: Iterable[_Read], counts: ReadCounts) -> Iterator[Record]:
    for record in records:
        if isinstance(record, tuple):
            counts.leave_out(*record)
            continue
        counts.keep()
        yield record


def _joints(path: Path, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    require_file(path, _CURE)
    try:
        found = loadmat(path, variable_names=["joints"]).get("joints")
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged or not a MATLAB file ({error}); {_CURE}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise UserError(f"{path}: joints: array of numbers missing; {_CURE}")
    fits = found.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, found.shape, strict=True)
    )
    if not fits:
        wanted = " × ".join("people" if side is None else str(side) for side in shape)
        raise UserError(
            f"{path}: joints: expected {wanted}, found {' × '.join(map(str, found.shape))}; {_CURE}"
        )
    return found.astype(np.float64)
