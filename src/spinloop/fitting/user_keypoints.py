"""The people that a user gives to `spinloop fit`: an npz file of keypoints, or a folder of OpenPose's files.

An npz file holds keypoints in pixels of a square crop of `size` pixels (224 if not given) and a confidence.
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
from spinloop.geometry.crop import CROP_PX, crop_keypoints
from spinloop.joints import MODEL49
from spinloop.keypoints.detections import read_openpose
from spinloop.keypoints.merge import merge_joints
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import Box, bounding_square

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

_OPENPOSE_SUFFIX = "_keypoints.json"
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# As the preprocessing leaves room around a person.
_BOX_FACTOR = 1.2
_EMPTY_BOX = Box(np.zeros(2), 1.0)


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


def read_people(keypoints: Path | None, openpose: Path | None, images: Path | None) -> PeopleToFit:
    """Read people from one of the two sources of the command line.

    Raises:
        UserError: none or both are given; also see `read_keypoint_file` and `read_openpose_folder`.
    """
    if keypoints is not None and openpose is None and images is None:
        return read_keypoint_file(keypoints)
    if openpose is None or keypoints is not None:
        raise UserError("fit: give --keypoints FILE, or --openpose DIR --images DIR; change the call")
    return read_openpose_folder(openpose, images)


def read_keypoint_file(path: Path) -> PeopleToFit:
    """Read keypoints, and a start if the file has one.

    Args:
        path: npz with `keypoints` (N, 49, 3) or (N, 25, 3) (OpenPose only); optionally `ids` (N,), `size`,
            and a start (see `read_start`).

    Raises:
        UserError: an array is missing or of the wrong shape, no joint has any confidence, or the coordinates
            cannot be pixels of the crop.
    """
    arrays = read_npz(path, _FIX)
    if "keypoints" not in arrays:
        raise UserError(f"{path}: keypoints: missing; {_FIX}")
    keypoints = _keypoints(path, arrays["keypoints"], _size(path, arrays))
    n = len(keypoints)
    ids = _ids(path, arrays.get("ids", np.arange(n)), n)
    has_start = any(key in arrays for key in START_WIDTHS)
    start = _start(path, arrays, n) if has_start else None
    return PeopleToFit(ids, keypoints, start, _is_outside(path, keypoints), [None] * n)


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


def read_openpose_folder(openpose: Path, images: Path | None) -> PeopleToFit:
    """Everyone in a folder of OpenPose's BODY_25 files, by file name and place in the file.

    Args:
        openpose: folder with `a_keypoints.json`, …, in any depth.
        images: folder with `a.jpg` (or `.jpeg`, `.png`), … at the same places.

    Returns:
        People with ids `<file name without ending>#<place in the file>`.

    Raises:
        UserError: there is no such folder, no such file or no person in any, a file is not OpenPose's, a
            photograph is missing or not an image, or the detections cannot be in its pixels.
    """
    for option, folder in (("--openpose", openpose), ("--images", images)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"{option} {folder}: no such folder; correct the path")
    files = sorted(openpose.rglob(f"*{_OPENPOSE_SUFFIX}"))
    if not files:
        raise UserError(f"{openpose}: no *{_OPENPOSE_SUFFIX} there; run OpenPose with --write_json")
    ids: list[str] = []
    keypoints: list[np.ndarray] = []
    photographs: list[Photograph | None] = []
    boxes: list[Box] = []
    for file in files:
        name = file.relative_to(openpose).as_posix().removesuffix(_OPENPOSE_SUFFIX)
        image = None if images is None else _find_image(images, name)
        people = read_openpose(file)
        for number, joints in enumerate(() if people is None else people):
            _check_pixels(file, number, joints, image)
            box = bounding_square(joints[joints[:, 2] > 0, :2], _BOX_FACTOR) if joints.any() else None
            ids.append(f"{name}#{number}")
            boxes.append(box or _EMPTY_BOX)
            photographs.append(None if image is None else Photograph(image, boxes[-1]))
            keypoints.append(merge_joints(None, joints if box else np.zeros_like(joints)))
    if not ids:
        raise UserError(f"{openpose}: {len(files)} files without any person; there is nothing to fit")
    centers, scales = np.array([box.center for box in boxes]), np.array([box.scale for box in boxes])
    moved = crop_keypoints(np.stack(keypoints), centers, scales).astype(np.float32)
    return PeopleToFit(ids, moved, None, np.zeros(len(ids), bool), photographs)


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


def _keypoints(path: Path, given: np.ndarray, size: float) -> Float[np.ndarray, "N 49 3"]:
    """The 49 keypoints in pixels of the 224 px crop; 25 are OpenPose's, the others then have confidence 0."""
    n_joints = len(MODEL49)
    if given.ndim != 3 or given.shape[1] not in (25, n_joints) or given.shape[2] != 3:
        raise UserError(f"{path}: keypoints: expected shape (N, {n_joints}, 3), found {given.shape}; {_FIX}")
    if len(given) == 0 or not np.issubdtype(given.dtype, np.number):
        raise UserError(f"{path}: keypoints: expected numbers of at least one person; {_FIX}")
    keypoints = np.zeros((len(given), n_joints, 3), np.float32)
    keypoints[:, : given.shape[1]] = given
    seen = _is_seen(keypoints)
    if not seen.any():
        raise UserError(
            f"{path}: keypoints: no joint has a confidence above 0; the third number is the confidence"
        )
    if keypoints[seen][:, 2].max() > 1.5:
        found = keypoints[seen][:, 2].max()
        raise UserError(f"{path}: keypoints: confidences reach {found:.4g}; divide them so that 1 is certain")
    if np.abs(keypoints[seen][:, :2]).max() <= _NORMALIZED:
        raise UserError(f"{path}: keypoints: all within ±2; they look normalised, give pixels of the crop")
    keypoints[..., :2] *= CROP_PX / size
    return keypoints


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


def _is_seen(keypoints: Float[np.ndarray, "N 49 3"]) -> Bool[np.ndarray, "N 49"]:
    return np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)


def _extent(pixels: Float[np.ndarray, "N 49 2"], seen: Bool[np.ndarray, "N 49"]) -> Float[np.ndarray, " N"]:
    """The longer side of the box around the seen joints, pixels; negative where there are none."""
    low = np.where(seen[..., None], pixels, np.inf).min(1)
    high = np.where(seen[..., None], pixels, -np.inf).max(1)
    return (high - low).max(-1)


def _find_image(images: Path, name: str) -> Path:
    place = images / name
    folder = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
    for path in folder:
        if path.stem == place.name and path.suffix.lower() in _IMAGE_SUFFIXES:
            return path
    raise UserError(f"{place}.jpg: no such image (nor .jpeg, .png); leave --images out to fit without")


def _check_pixels(file: Path, number: int, joints: Float[np.ndarray, "25 3"], image: Path | None) -> None:
    """Refuse detections that cannot be in pixels of their photograph."""
    seen = joints[joints[:, 2] > 0, :2]
    if not len(seen):
        return
    where = f"{file}: people[{number}]"
    if np.abs(seen).max() <= _NORMALIZED:
        raise UserError(f"{where}: all within ±2; run OpenPose with --keypoint_scale 0, which writes pixels")
    if image is None:
        return
    try:
        height, width = read_size(image)
    except UnreadableImage as error:
        raise UserError(f"{error}; replace the image or leave --images out") from None
    # The orientation tag may exchange width and height.
    outside = [(seen > size).any(1).mean() for size in ((width, height), (height, width))]
    if min(outside) > 0.5:
        size = f"({width} × {height} px)"
        raise UserError(
            f"{where}: most joints, up to {seen.max():.0f} px, lie outside {image.name} {size}; give the "
            "images that OpenPose saw"
        )
