"""What a user hands to `spinloop fit`, checked, and what comes back.

Files are npz archives without pickled objects. Keypoints are pixels of a square crop of `size` pixels (224
if not given) with a confidence; translations belong to the 5000 px camera of the 224 px crop, whatever
`size` is.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic, read_npz
from spinloop.geometry.crop import CROP_PX
from spinloop.joints import MODEL49
from spinloop.tables.fits import STATUSES, FitResult

_CURE = "see `spinloop fit --help` for what the file must hold"
_WIDTHS = {"pose": 72, "betas": 10, "cam_t": 3}
# A person is cut off by the crop at times, but most joints this many sides beyond its border are of no
# person in it: they are in pixels of the whole photograph, however small that is.
_MARGIN = 0.1
# Several joints this near to each other are no person but normalised numbers, or a default.
_ENOUGH, _SPOT_PX = 4, 2.5


@dataclass(frozen=True)
class Request:
    """People to fit."""

    ids: list[str]
    keypoints: Float[np.ndarray, "N 49 3"]
    """Pixels of the 224 px crop, and confidence."""
    start: BodyState | None
    """Where to begin, if the file says so."""
    is_outside: Bool[np.ndarray, " N"]
    """The person's coordinates plainly are no pixels of this crop: most far outside, or all on one spot."""


def read_request(path: Path) -> Request:
    """Read keypoints, and a start if the file has one.

    Args:
        path: `keypoints` (N, 49, 3) or (N, 25, 3) (OpenPose only); if wanted `ids` (N,), `size`, and a start
            (see `read_start`).

    Raises:
        UserError: an array is missing or of the wrong shape, no joint has any confidence, or the
            coordinates are plainly no pixels of the crop.
    """
    arrays = read_npz(path, _CURE)
    if "keypoints" not in arrays:
        raise UserError(f"{path}: keypoints: missing; {_CURE}")
    keypoints = _keypoints(path, arrays["keypoints"], _size(path, arrays))
    n = len(keypoints)
    ids = _ids(path, arrays.get("ids", np.arange(n)), n)
    has_start = any(key in arrays for key in _WIDTHS)
    start = _start(path, arrays, n) if has_start else None
    return Request(ids, keypoints, start, _outside(path, keypoints))


def read_start(path: Path, n: int) -> BodyState:
    """Read poses, shapes and translations to begin at.

    Args:
        path: `pose` (N, 72); if wanted `betas` (N, 10), else the mean shape, and `cam_t` (N, 3), else the
            translation is estimated.
        n: how many people there must be.

    Raises:
        UserError: an array is missing, or not of `n` people.
    """
    return _start(path, read_npz(path, _CURE), n)


def save_fits(
    path: Path, request: Request, result: FitResult, status: Int[np.ndarray, " N"], seconds: float
) -> None:
    """Write the fits, atomically.

    Args:
        path: npz with `ids`, `pose`, `betas`, `cam_t`, `joints`, `reprojection`, `objective`, `status`,
            `iterations` and `seconds`.
        request: who.
        result: their fits.
        status: positions in `STATUSES`.
        seconds: of the solver, without loading.
    """
    arrays = {key: part.cpu().numpy() for key, part in zip(_WIDTHS, result.state, strict=True)}
    for key in ("joints", "reprojection", "objective", "iterations"):
        arrays[key] = getattr(result, key).cpu().numpy()
    arrays["ids"] = np.array(request.ids)
    arrays["status"] = np.array([STATUSES[code] for code in status])
    arrays["seconds"] = np.array(seconds)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _start(path: Path, arrays: dict[str, np.ndarray], n: int) -> BodyState:
    if "pose" not in arrays:
        raise UserError(f"{path}: pose: missing; a start needs it, or use --start mean")
    # A translation that is not finite is estimated by the fit.
    start = {"betas": np.zeros((n, 10)), "cam_t": np.full((n, 3), np.nan)} | arrays
    for key, width in _WIDTHS.items():
        found = start[key]
        if found.shape != (n, width) or not np.issubdtype(found.dtype, np.number):
            raise UserError(
                f"{path}: {key}: expected numbers of shape ({n}, {width}), found {found.shape}; {_CURE}"
            )
    return BodyState(*(torch.as_tensor(np.asarray(start[key], np.float32)) for key in _WIDTHS))


def _ids(path: Path, given: np.ndarray, n: int) -> list[str]:
    if given.ndim != 1:
        raise UserError(f"{path}: ids: expected a list of {n}, found shape {given.shape}; mend the file")
    ids = [str(id_) for id_ in given]
    if len(ids) != n or len(set(ids)) != n:
        raise UserError(f"{path}: ids: expected {n} different ones, found {len(set(ids))}; mend the file")
    return ids


def _size(path: Path, arrays: dict[str, np.ndarray]) -> float:
    size = np.asarray(arrays.get("size", CROP_PX))
    if size.ndim != 0 or not np.issubdtype(size.dtype, np.number) or not 8 <= float(size) <= 1e5:
        raise UserError(
            f"{path}: size: expected the crop's side in pixels, one number, found {size}; {_CURE}"
        )
    return float(size)


def _keypoints(path: Path, given: np.ndarray, size: float) -> Float[np.ndarray, "N 49 3"]:
    """The 49 keypoints in pixels of the 224 px crop; 25 are OpenPose's, the others then unseen."""
    n_joints = len(MODEL49)
    if given.ndim != 3 or given.shape[1] not in (25, n_joints) or given.shape[2] != 3:
        raise UserError(f"{path}: keypoints: expected shape (N, {n_joints}, 3), found {given.shape}; {_CURE}")
    if len(given) == 0 or not np.issubdtype(given.dtype, np.number):
        raise UserError(f"{path}: keypoints: expected numbers of at least one person; {_CURE}")
    keypoints = np.zeros((len(given), n_joints, 3), np.float32)
    keypoints[:, : given.shape[1]] = given
    seen = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    if not seen.any():
        raise UserError(
            f"{path}: keypoints: no joint has a confidence above 0; the third number is the confidence"
        )
    if keypoints[seen][:, 2].max() > 1.5:
        found = keypoints[seen][:, 2].max()
        raise UserError(f"{path}: keypoints: confidences reach {found:.4g}; divide them so that 1 is certain")
    if np.abs(keypoints[seen][:, :2]).max() <= 2:
        raise UserError(f"{path}: keypoints: all within ±2; they look normalised, give pixels of the crop")
    keypoints[..., :2] *= CROP_PX / size
    return keypoints


def _outside(path: Path, keypoints: Float[np.ndarray, "N 49 3"]) -> Bool[np.ndarray, " N"]:
    seen = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    places = np.where(seen[..., None], keypoints[..., :2], 0)
    far = ((places < -_MARGIN * CROP_PX) | (places > (1 + _MARGIN) * CROP_PX)).any(-1)
    is_outside = (far & seen).sum(-1) > 0.5 * seen.sum(-1)
    is_outside |= (seen.sum(-1) >= _ENOUGH) & (_extent(places, seen) < _SPOT_PX)
    if is_outside.sum() > 0.5 * seen.any(-1).sum():
        raise UserError(
            f"{path}: keypoints: {is_outside.sum()} of {len(keypoints)} people lie outside their crop or on "
            "one spot of it; give pixels of the crop, not of the whole image, and the crop's side as `size`"
        )
    return is_outside


def _extent(places: Float[np.ndarray, "N 49 2"], seen: Bool[np.ndarray, "N 49"]) -> Float[np.ndarray, " N"]:
    """The longer side of the box around the seen joints, pixels; below zero where there is none."""
    low = np.where(seen[..., None], places, np.inf).min(1)
    high = np.where(seen[..., None], places, -np.inf).max(1)
    return (high - low).max(-1)
