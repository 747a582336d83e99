"""Leeds Sports Pose, the original images (LSP) and the extended set in high resolution (LSPET) → records.

Expected trees, as distributed: LSP `joints.mat` (`joints`, 3 × 14 × 2000) and `images/im0001.jpg` …
`im2000.jpg`; LSPET `joints.mat` (`joints`, 14 × 3 × N) and N `*.png` beside it, paired by sorted name. The
third number of a joint is its visibility; LSP annotates hidden joints too, LSPET leaves joints without a
place at visibility 0.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from spinloop.annotations.joint_rows import common_joints, make_record
from spinloop.annotations.record import Record, make_id
from spinloop.annotations.tally import Tally
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.joints import LSP14
from spinloop.params.annotations import LspetSource, LspSource

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
_N_LSP = 2000
# The first thousand images are for training, the others for testing.
_N_TRAIN = 1000


def read_lsp(raw: Path, split: str, source: LspSource, is_official: bool, tally: Tally) -> Iterator[Record]:
    """Records of LSP's training images, by number.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: keep joints outside the image; every joint counts as visible in any case.
        tally: counts what is left out: see `joint_rows.make_record`.

    Raises:
        UserError: `joints.mat` is absent or of another shape, or an image is absent.
    """
    joints = _joints(raw / "joints.mat", (3, len(LSP14), _N_LSP)).transpose(2, 1, 0)
    rows = ((f"images/im{number:04d}.jpg", joints[number - 1]) for number in range(1, _N_TRAIN + 1))
    yield from _records(raw, split, rows, source, is_official, tally, needs_flag=False)


def read_lspet(
    raw: Path, split: str, source: LspetSource, is_official: bool, tally: Tally
) -> Iterator[Record]:
    """Records of LSPET, by name of the image.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: the rules.
        is_official: count every joint as annotated, also those marked as not, as the published preprocessing.
        tally: counts what is left out: see `joint_rows.make_record`.

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
    yield from _records(raw, split, rows, source, is_official, tally, needs_flag=True)


def _records(
    raw: Path,
    split: str,
    rows: Iterator[tuple[str, Float[np.ndarray, "14 3"]]],
    source: LspSource | LspetSource,
    is_official: bool,
    tally: Tally,
    needs_flag: bool,
) -> Iterator[Record]:
    for image, joints in rows:
        is_annotated = np.isfinite(joints[:, 0]) & np.isfinite(joints[:, 1])
        if needs_flag and not is_official:
            is_annotated &= joints[:, 2] > 0
        keypoints = common_joints(joints[:, :2], is_annotated, LSP14)
        rules = source.box_factor, source.min_limb_joints, is_official
        record = make_record(raw, split, image, 0, keypoints, None, *rules)
        if isinstance(record, str):
            tally.leave_out(record, make_id(split, image, 0))
            continue
        tally.keep()
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
