"""Training files of SPIN and of the networks after it (npz) under one set of names.

SPIN's `dataset_extras` have `part` (24 annotated joints) and `openpose`. ProHMR, HMR2 (4D-Humans) and others
that came from it have `body_keypoints_2d` (OpenPose's 25) with `extra_keypoints_2d` (the first 19 of the
24), or `part` with all 44 or 49; `body_pose` with the root or beside a `global_orient`; `betas`; and
`has_body_pose` for `has_smpl`. Arrays that are not used are named, never opened.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.files.arrays import npz_names
from spinloop.joints import N_OPENPOSE
from spinloop.tables.records import N_COMMON

FIX = "docs/formats.md shows what is read"
N_EXTRA = 19
"""Of the 24 annotated joints, those that 4D-Humans' 44 have."""
_N_POSE, _N_BETAS = 72, 10

SHAPES: dict[str, tuple[int, ...]] = {
    "imgname": (), "center": (2,), "scale": (), "part": (N_COMMON, 3), "openpose": (N_OPENPOSE, 3),
    "S": (N_COMMON, 4), "pose": (_N_POSE,), "shape": (_N_BETAS,), "has_smpl": (), "gender": (),
    "maskname": (), "partname": (), "id": (),
}  # fmt: skip
"""SPIN's names, and the shape of a person's entry."""
NEEDED = ("imgname", "center", "scale")
WORDS = {"imgname", "gender", "maskname", "partname", "id"}
_ANNOTATION = ("part", "openpose", "S", "pose")
_OTHER_NAMES = {
    "body_keypoints_2d": "openpose", "extra_keypoints_2d": "part", "extra_keypoints_3d": "S",
    "body_pose": "pose", "betas": "shape", "has_body_pose": "has_smpl",
}  # fmt: skip
# A box of so many × 200 px is one whose scale is in pixels, as ProHMR's own files have it.
_MOST_SCALE = 20.0
_GENDERS = {
    "m": "male",
    "f": "female",
    "n": "neutral",
    "male": "male",
    "female": "female",
    "neutral": "neutral",
}


class TrainingArrays(NamedTuple):
    """A file's arrays."""

    arrays: dict[str, np.ndarray]
    """By SPIN's names, of its shapes; of those that the file has."""
    unused: list[str]
    """Names of the arrays that are not read."""
    notes: list[str]
    """What was understood in another way than SPIN's files have it."""


def read_training_arrays(path: Path) -> TrainingArrays:
    """Read a training file.

    Raises:
        UserError: the file is absent, damaged, has no names, centers and scales of people or nothing about
            them, or an array of another shape or type.
    """
    wanted = {*SHAPES, *_OTHER_NAMES, "global_orient"}
    arrays = read_npz(path, FIX, keys=wanted)
    unused = sorted(set(npz_names(path, FIX)) - wanted)
    for key in NEEDED:
        if key not in arrays:
            raise UserError(
                f"{path}: {key}: array missing, so this is no training file of SPIN's kind; {FIX}"
            )
    count = len(np.atleast_1d(arrays["imgname"]))
    for key, array in arrays.items():
        kinds = "USfiub" if key == "gender" else "US" if key in WORDS else "fiub"
        if array.ndim == 0 or len(array) != count or array.dtype.kind not in kinds:
            kind = "words" if key in WORDS else "numbers"
            found_words = f"found {array.dtype} of shape {array.shape}"
            raise UserError(f"{path}: {key}: expected {kind} of {count} people, {found_words}; {FIX}")
    notes: list[str] = []
    named = _renamed(arrays, notes)
    found: dict[str, np.ndarray] = {}
    for key, array in named.items():
        shaped = _shaped(key, array)
        if shaped is None:
            if key == "shape":
                unused.append(f"shape {array.shape}")
                continue
            wanted_shape = (count, *SHAPES[key])
            raise UserError(f"{path}: {key}: expected shape {wanted_shape}, found {array.shape}; {FIX}")
        found[key] = shaped
    if not found.keys() & set(_ANNOTATION):
        words = "neither joints nor bodies under a known name"
        raise UserError(f"{path}: {words}, but {', '.join(unused)[:80] or 'nothing else'}; {FIX}")
    if np.median(found["scale"]) > _MOST_SCALE:
        found["scale"] = found["scale"] / 200.0
        notes.append("scale_in_pixels")
    return TrainingArrays(found, unused, notes)


def gender_of(word: str) -> str | None:
    """`female`, `male` or `neutral` of a letter or word in any case; None for others."""
    return _GENDERS.get(word.strip().lower())


def _renamed(arrays: Mapping[str, np.ndarray], notes: list[str]) -> dict[str, np.ndarray]:
    """All arrays under SPIN's names; one that is there under its own name stands before another's."""
    named = {key: array for key, array in arrays.items() if key in SHAPES}
    for other, key in _OTHER_NAMES.items():
        if other in arrays and key not in named:
            named[key] = arrays[other]
            notes.append(f"{other}_as_{key}")
    part = named.get("part")
    for_part = part.shape[1] if part is not None and part.ndim == 3 else 0
    if part is not None and for_part in (N_OPENPOSE + N_EXTRA, N_OPENPOSE + N_COMMON):
        named.setdefault("openpose", part[:, :N_OPENPOSE])
        named["part"] = part[:, N_OPENPOSE:]
        notes.append(f"part_of_{for_part}_as_openpose_and_part")
    if "pose" not in arrays and "pose" in named:
        named["pose"] = _whole_pose(named["pose"], arrays.get("global_orient"))
    return named


def _whole_pose(body: np.ndarray, root: np.ndarray | None) -> np.ndarray:
    """72 angles of a `body_pose`, with its `global_orient` if it has no root; matrices become axis-angle."""
    body = _axis_angles(body)
    return (
        body
        if root is None or body.shape[1:] == (_N_POSE,)
        else np.concatenate([_axis_angles(root), body], 1)
    )


def _axis_angles(rotations: np.ndarray) -> np.ndarray:
    count = len(rotations)
    if rotations.shape[-2:] == (3, 3) and rotations.ndim == 4:
        return Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(count, -1)
    return rotations.reshape(count, -1)


def _shaped(key: str, array: np.ndarray) -> np.ndarray | None:
    """The array in the shape of SPIN's, words as `str`; None if it cannot be."""
    count, wanted = len(array), SHAPES[key]
    if key in WORDS:
        return _words(array.reshape(count, -1)[:, 0])
    array = array.astype(np.float64)
    if not wanted:
        # `has_smpl` and `scale` are columns in some files; ProHMR's scale is width and height.
        return array.reshape(count, -1).max(axis=1)
    if key in ("part", "S") and array.shape[1:] == (N_EXTRA, wanted[1]):
        return np.concatenate([array, np.zeros((count, N_COMMON - N_EXTRA, wanted[1]))], axis=1)
    if key == "pose":
        array = array.reshape(count, -1)
    return array if array.shape == (count, *wanted) else None


def _words(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "iufb":
        # SMPL's own data sets count 0 as female and 1 as male in some files and the reverse in others.
        return np.full(array.shape, "")
    return array
