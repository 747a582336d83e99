"""Keypoints that a user gives to `spinloop fit` in an npz file, already in crops.

They are in pixels of a square crop of `size` pixels (224 if not given), with a confidence.
Translations are those of the 5000 px camera of the 224 px crop, whatever `size` is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.geometry.crop import CROP_PX
from spinloop.joints import MODEL49
from spinloop.keypoints.layouts import LAYOUTS, is_body_25b, layout_of_count, layout_of_word, to_body_25
from spinloop.tables.records import Box

START_WIDTHS = {"pose": 72, "betas": 10, "cam_t": 3}
"""Arrays of a start in an npz file, and how many numbers a person has in each."""

_FIX = "see `spinloop fit --help` for what the file must hold"
# A crop cuts people off at times. But keypoints of which most lie this many sides beyond its border are in
# pixels of the whole photograph.
_MARGIN = 0.1
# So many joints within so few pixels are no person but normalised coordinates, or a default value.
_ENOUGH, _SPOT_PX = 4, 2.5
# Coordinates within ± this are normalised to the crop, not in pixels.
_NORMALIZED = 2


class Photograph(NamedTuple):
    """Where a person was detected."""

    path: Path
    box: Box
    """The person's crop."""


@dataclass(frozen=True)
class PeopleToFit:
    """People, their keypoints, and what else is known of them."""

    ids: list[str]
    keypoints: Float[np.ndarray, "N 49 3"]
    """Pixels of the 224 px crop, and confidence."""
    start: BodyState | None
    """Where to begin, if the file says so."""
    is_outside: Bool[np.ndarray, " N"]
    """Whether the keypoints cannot be pixels of this crop: most are far outside, or all on one spot."""
    photographs: list[Photograph | None]
    """None for people without a photograph."""
    about: str = ""
    """One line: what the files were taken for, and what was left out."""


def read_keypoint_file(path: Path, layout: str = "auto") -> PeopleToFit:
    """Read keypoints, and a start if the file has one.

    Args:
        path: npz with `keypoints` (N, K, 3), K joints of a set of `layouts.LAYOUTS`: 49 and 44 hold annotated
            joints too, all others become OpenPose's 25; optionally `ids` (N,), `size`, and a start (see
            `read_start`).
        layout: the word of the set; `auto` recognises it.

    Raises:
        UserError: an array is missing or of the wrong shape, no joint has any confidence, or the coordinates
            cannot be pixels of the crop.
    """
    arrays = read_npz(path, _FIX, keys=("keypoints", "ids", "size", *START_WIDTHS))
    if "keypoints" not in arrays:
        raise UserError(f"{path}: keypoints: missing; {_FIX}")
    keypoints, title = _keypoints(path, arrays["keypoints"], layout)
    keypoints[..., :2] *= CROP_PX / _size(path, arrays)
    n = len(keypoints)
    ids = _ids(path, arrays.get("ids", np.arange(n)), n)
    has_start = any(key in arrays for key in START_WIDTHS)
    start = _start(path, arrays, n) if has_start else None
    is_outside = _is_outside(path, keypoints)
    return PeopleToFit(ids, keypoints, start, is_outside, [None] * n, f"{path}: read as {title}")


def read_start(path: Path, n: int) -> BodyState:
    """Read poses, shapes and translations to begin at.

    Args:
        path: npz with `pose` (N, 72); optionally `betas` (N, 10), else the mean shape, and `cam_t` (N, 3),
            else the translation is estimated.
        n: how many people there must be.

    Raises:
        UserError: an array is missing, or not of `n` people.
    """
    return _start(path, read_npz(path, _FIX), n)


def _start(path: Path, arrays: dict[str, np.ndarray], n: int) -> BodyState:
    if "pose" not in arrays:
        raise UserError(f"{path}: pose: missing; a start needs it, or use --start mean")
    # The fit estimates a translation that is not finite.
    start = {"betas": np.zeros((n, 10)), "cam_t": np.full((n, 3), np.nan)} | arrays
    for key, width in START_WIDTHS.items():
        found = start[key]
        if found.shape != (n, width) or not np.issubdtype(found.dtype, np.number):
            raise UserError(
                f"{path}: {key}: expected numbers of shape ({n}, {width}), found {found.shape}; {_FIX}"
            )
    return BodyState(*(torch.as_tensor(np.asarray(start[key], np.float32)) for key in START_WIDTHS))


def _ids(path: Path, given: np.ndarray, n: int) -> list[str]:
    if given.ndim != 1:
        raise UserError(f"{path}: ids: expected a list of {n}, found shape {given.shape}; fix the file")
    ids = [str(id_) for id_ in given]
    if len(ids) != n or len(set(ids)) != n:
        raise UserError(f"{path}: ids: expected {n} different ones, found {len(set(ids))}; fix the file")
    return ids


def _size(path: Path, arrays: dict[str, np.ndarray]) -> float:
    size = np.asarray(arrays.get("size", CROP_PX))
    if size.ndim != 0 or not np.issubdtype(size.dtype, np.number) or not 8 <= float(size) <= 1e5:
        raise UserError(f"{path}: size: expected the crop's side in pixels, one number, found {size}; {_FIX}")
    return float(size)


def _keypoints(path: Path, given: np.ndarray, word: str) -> tuple[Float[np.ndarray, "N 49 3"], str]:
    """The 49 keypoints, and the set that was given; joints that it lacks have confidence 0."""
    n_joints = len(MODEL49)
    counts = ", ".join(str(one) for one in sorted({len(layout.joints) for layout in LAYOUTS.values()}))
    if given.ndim != 3 or given.shape[2] != 3:
        found = f"found {given.shape}; {_FIX}"
        raise UserError(f"{path}: keypoints: expected shape (N, K, 3), K one of {counts}, {found}")
    if len(given) == 0 or given.dtype.kind not in "fiu":
        raise UserError(f"{path}: keypoints: expected numbers of at least one person; {_FIX}")
    given = given.astype(np.float64)
    seen = _is_seen(given)
    if not seen.any():
        raise UserError(
            f"{path}: keypoints: no joint has a confidence above 0; the third number is the confidence"
        )
    if given[seen][:, 2].max() > 1.5:
        found = given[seen][:, 2].max()
        raise UserError(f"{path}: keypoints: confidences reach {found:.4g}; divide them so that 1 is certain")
    if np.abs(given[seen][:, :2]).max() <= _NORMALIZED:
        raise UserError(f"{path}: keypoints: all within ±2; they look normalised, give pixels of the crop")
    layout = layout_of_word(word) or layout_of_count(given.shape[1])
    if layout is None or len(layout.joints) != given.shape[1]:
        wanted = f"({len(given)}, {len(layout.joints)}, 3)" if layout else f"(N, K, 3), K one of {counts}"
        raise UserError(f"{path}: keypoints: expected shape {wanted}, found {given.shape}; correct --format")
    clean = np.where(seen[..., None], given, 0.0)
    if word == "auto" and given.shape[1] == 25 and is_body_25b(clean):
        layout = LAYOUTS["body_25b"]
    keypoints = np.zeros((len(given), n_joints, 3), np.float32)
    if layout.joints == MODEL49[: len(layout.joints)]:
        keypoints[:, : given.shape[1]] = given
    else:
        keypoints[:, :25] = to_body_25(clean, layout.joints)
    return keypoints, layout.title


def _is_outside(path: Path, keypoints: Float[np.ndarray, "N 49 3"]) -> Bool[np.ndarray, " N"]:
    """See `PeopleToFit.is_outside`; an error if it is true for most people."""
    seen = _is_seen(keypoints)
    pixels = np.where(seen[..., None], keypoints[..., :2], 0)
    far = ((pixels < -_MARGIN * CROP_PX) | (pixels > (1 + _MARGIN) * CROP_PX)).any(-1)
    is_outside = (far & seen).sum(-1) > 0.5 * seen.sum(-1)
    is_outside |= (seen.sum(-1) >= _ENOUGH) & (_extent(pixels, seen) < _SPOT_PX)
    if is_outside.sum() > 0.5 * seen.any(-1).sum():
        raise UserError(
            f"{path}: keypoints: {is_outside.sum()} of {len(keypoints)} people lie outside their crop or on "
            "one spot of it; give pixels of the crop, not of the whole image, and the crop's side as `size`"
        )
    return is_outside


def _is_seen(keypoints: Float[np.ndarray, "N K 3"]) -> Bool[np.ndarray, "N K"]:
    return np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)


def _extent(pixels: Float[np.ndarray, "N 49 2"], seen: Bool[np.ndarray, "N 49"]) -> Float[np.ndarray, " N"]:
    """The longer side of the box around the seen joints, pixels; negative where there are none."""
    low = np.where(seen[..., None], pixels, np.inf).min(1)
    high = np.where(seen[..., None], pixels, -np.inf).max(1)
    return (high - low).max(-1)
