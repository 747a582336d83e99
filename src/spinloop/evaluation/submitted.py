"""A file of somebody else's predictions or of a truth: read, checked, and brought to metres and camera axes.

A file holds `ids` (N,) and either `joints` (N, J, 3), the 17 H36M joints or those named by `joint_names`
(J,); or a body: `pose` (N, 72) or (N, 24, 3, 3), or `global_orient` and `body_pose` as 4D-Humans and ProHMR
name them, and `betas` (N, 10), and for masks also `camera` (N, 3), the weak-perspective camera of the 224 px
crop. A truth may add `gender` (N,) and `sequence` (N,).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.files import parsing, read_npz
from spinloop.files.hdf5 import open_hdf5
from spinloop.geometry.rotations import matrix_to_axis_angle
from spinloop.joints import COMMON24, H36M17, PROTOCOL14, PROTOCOL17, SMPL24, flip_permutation

_FIX = "see `spinloop score --help` for what the file must hold"
_LABELS = ("gender", "sequence")
_TEXTS = ("ids", "joint_names", *_LABELS)
_NUMBERS = ("joints", "pose", "rotations", "global_orient", "body_pose", "betas", "camera")
# No joint is this far from the middle of the person's joints; in millimetres and centimetres nearly all are.
_MAX_SPREAD_M, _MAX_NUMBER = 10.0, 1e9
_MAX_SPREAD_CM = 250.0
# Of a matrix times its transpose, from the identity; rotations in half precision are within.
_ROTATION_TOLERANCE = 0.02

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
AXES = {
    "y-down": np.eye(3),
    "y-up": np.diag([1.0, -1.0, -1.0]),
    "z-up": np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]),
}
"""Names of axes, and the turn to the camera's: x right, y down, z away from the camera."""


def _swapped(joints: tuple[str, ...], parts: tuple[str, ...]) -> tuple[str, ...]:
    """The set with left and right exchanged in those joints that are of the given parts."""
    flip = flip_permutation(joints)
    return tuple(joints[flip[row]] if name.endswith(parts) else name for row, name in enumerate(joints))


_LEGS, _ARMS = ("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist", "hand")
JOINT_SETS = {
    "h36m17": H36M17,
    "h36m17_right_leg_first": _swapped(H36M17, _LEGS),
    "h36m17_right_arm_first": _swapped(H36M17, _ARMS),
    "h36m17_swapped": _swapped(H36M17, (*_LEGS, *_ARMS)),
    "smpl24": SMPL24,
    "smpl24_swapped": _swapped(SMPL24, (*_LEGS, *_ARMS)),
    "protocol14": PROTOCOL14,
    "protocol17": PROTOCOL17,
    "common24": COMMON24,
}
"""Sets of joints that may be declared, by name."""
# Joints that SMPL has and the regressor of Human3.6M has not; the others share names, but lie elsewhere.
_ONLY_SMPL = {"spine1", "spine2", "spine3", "left_collar", "left_foot", "left_hand"}
_GENDERS = {
    "f": "female", "female": "female", "m": "male", "male": "male", "n": "neutral", "neutral": "neutral",
    # As SPIN's datasets hold them.
    "0": "male", "1": "female", "-1": "neutral",
}  # fmt: skip


@dataclass(frozen=True)
class Declared:
    """What the user says about the predictions."""

    units: str = "m"
    """One of `UNITS`."""
    axes: str = "y-down"
    """One of `AXES`."""
    joints: str | None = None
    """One of `JOINT_SETS`; None for the file's own names, or H36M17."""

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            UserError: a name is not known.
        """
        for option, value, known in (
            ("units", self.units, UNITS), ("axes", self.axes, AXES), ("joints", self.joints, JOINT_SETS)
        ):  # fmt: skip
            if value is not None and value not in known:
                raise UserError(f"--{option}: {value!r} is unknown; choose one of {', '.join(known)}")


@dataclass(frozen=True)
class SubmittedPeople:
    """People of a file, in the order of its ids."""

    path: Path
    ids: list[str]
    joints: Float[np.ndarray, "N 17 3"] | None
    """`joints.H36M17`, metres; NaN where the file has no such joint."""
    joints24: Float[np.ndarray, "N 24 3"] | None
    """`joints.SMPL24`, metres, if the file holds these."""
    pose: Float[np.ndarray, "N 72"] | None
    """Axis-angles; the root's in camera axes."""
    betas: Float[np.ndarray, "N 10"] | None
    camera: Float[np.ndarray, "N 3"] | None
    labels: Mapping[str, list[str]]
    """`gender` and `sequence`, where the file has them."""

    def take(self, rows: Int[np.ndarray, " M"]) -> "SubmittedPeople":
        """Some of the people."""
        names = ("joints", "joints24", "pose", "betas", "camera")
        arrays = {name: getattr(self, name) for name in names}
        chosen = {name: None if array is None else array[rows] for name, array in arrays.items()}
        labels = {name: [values[row] for row in rows] for name, values in self.labels.items()}
        return replace(self, ids=[self.ids[row] for row in rows], labels=labels, **chosen)


def read_submitted(path: Path, declared: Declared | None = None) -> SubmittedPeople:
    """Read and check a file of predictions or of truths.

    Args:
        path: npz or HDF5.
        declared: units, axes and joints of the file, if they are not metres, the camera's and H36M17.

    Raises:
        UserError: nobody is in it, an id occurs twice, or an array is missing, of the wrong shape, not finite
            or not in metres; the first person is named.
    """
    arrays = _read_arrays(path)
    if "ids" not in arrays:
        raise UserError(f"{path}: ids: missing; {_FIX}")
    ids = _to_texts(path, "ids", arrays["ids"])
    if not ids:
        raise UserError(f"{path}: ids: nobody in the file; give at least one person")
    counts = Counter(ids)
    if len(counts) != len(ids):
        twice = next(key for key in ids if counts[key] > 1)
        raise UserError(f"{path}: {twice}: this id occurs twice; keep one row per person")
    for name in _NUMBERS:
        if name in arrays:
            _check_numbers(path, name, arrays[name], ids)
    for name in _LABELS:
        if name in arrays and arrays[name].shape != (len(ids),):
            found = arrays[name].shape
            raise UserError(f"{path}: {name}: expected one for each of {len(ids)} ids, found {found}; {_FIX}")
    labels = {name: _to_texts(path, name, arrays[name]) for name in _LABELS if name in arrays}
    declared = declared or Declared()
    if "gender" in labels:
        labels["gender"] = _read_genders(path, ids, labels["gender"])
    given, names = _read_joints(path, arrays, ids, declared)
    joints = None if given is None or names == SMPL24 else _in_order(given, names, H36M17)
    joints24 = _in_order(given, names, SMPL24) if given is not None and names == SMPL24 else None
    pose = _read_pose(path, arrays, ids, declared)
    betas, camera = _read_rows(path, arrays, "betas", 10), _read_rows(path, arrays, "camera", 3)
    if joints is None and joints24 is None and (pose is None or betas is None):
        raise UserError(f"{path}: neither joints nor pose and betas; {_FIX}")
    return SubmittedPeople(path, ids, joints, joints24, pose, betas, camera, labels)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    names = (*_TEXTS, *_NUMBERS)
    if path.suffix == ".npz":
        return read_npz(path, _FIX, names)
    with open_hdf5(path, "npz or HDF5", _FIX) as file:
        arrays = {name: file.values(name) for name in names if name in file}
        if "joint_names" not in arrays and file.has_attribute("joint_names"):
            arrays["joint_names"] = np.asarray(file.attribute("joint_names"))
        return arrays


def _to_texts(path: Path, name: str, array: np.ndarray) -> list[str]:
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuSUOT"):
        found = f"{array.dtype} of shape {array.shape}"
        raise UserError(f"{path}: {name}: expected a list of words, found {found}; {_FIX}")
    with parsing(f"{path}: {name}", "words in UTF-8", _FIX):
        return [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]


def _check_numbers(path: Path, name: str, array: np.ndarray, ids: list[str]) -> None:
    if array.dtype.kind not in "iuf" or array.ndim < 2 or len(array) != len(ids):
        raise UserError(f"{path}: {name}: expected a row of numbers for each of {len(ids)} ids; {_FIX}")
    faulty = ~(np.abs(array.reshape(len(array), -1)) < _MAX_NUMBER).all(1)  # NaN is not below it either
    if faulty.any():
        first = ids[int(np.flatnonzero(faulty)[0])]
        raise UserError(
            f"{path}: {first}: {name}: not all numbers are finite ({int(faulty.sum())} people); "
            "give an estimate for everybody"
        )


def _read_joints(
    path: Path, arrays: Mapping[str, np.ndarray], ids: list[str], declared: Declared
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Joints in metres and camera axes, and their names."""
    if "joints" not in arrays:
        return None, ()
    given = arrays["joints"].astype(np.float64)
    names = (*_to_texts(path, "joint_names", arrays.get("joint_names", np.array(H36M17))),)
    if declared.joints is not None:
        names = JOINT_SETS[declared.joints]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: joint_names: {twice[0]} occurs twice; name every joint once")
    if given.ndim != 3 or given.shape[1:] != (len(names), 3):
        found = " × ".join(str(side) for side in given.shape[1:])
        raise UserError(
            f"{path}: {ids[0]}: joints: expected {len(names)} × 3 numbers, found {found}; give the 17 H36M "
            f"joints, name them in joint_names, or declare --joints {' or '.join(JOINT_SETS)}"
        )
    if _ONLY_SMPL & {*names}:
        if not {*names} >= {*SMPL24}:
            raise UserError(f"{path}: joint_names: only some of SMPL's joints; give all 24, or H36M17")
        given, names = _in_order(given, names, SMPL24), SMPL24
    given = given * UNITS[declared.units]
    spread = np.linalg.norm(given - given.mean(1, keepdims=True), axis=-1).max(1)
    if (spread > _MAX_SPREAD_M).any():
        row = int(np.flatnonzero(spread > _MAX_SPREAD_M)[0])
        unit, factor = ("milli", 1000) if np.median(spread) > _MAX_SPREAD_CM else ("centi", 100)
        raise UserError(
            f"{path}: {ids[row]}: joints: {spread[row]:.0f} m from their middle; they look like "
            f"{unit}metres, divide by {factor} or declare --units {unit[0]}m"
        )
    return given @ AXES[declared.axes].T, names


def _in_order(joints: np.ndarray, names: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Joints in the order of a set; NaN for those that are not there."""
    ordered = np.full((len(joints), len(wanted), 3), np.nan)
    for row, name in enumerate(wanted):
        if name in names:
            ordered[:, row] = joints[:, names.index(name)]
    return ordered


def _read_genders(path: Path, ids: list[str], given: list[str]) -> list[str]:
    """Genders in any of the usual forms; words and bytes, letters, or SPIN's numbers.

    Raises:
        UserError: one is none; the person is named.
    """
    for key, value in zip(ids, given, strict=True):
        if value.lower() not in _GENDERS:
            raise UserError(f"{path}: {key}: gender: expected one of {', '.join(_GENDERS)}, found {value!r}")
    return [_GENDERS[value.lower()] for value in given]


def _read_pose(
    path: Path, arrays: Mapping[str, np.ndarray], ids: list[str], declared: Declared
) -> np.ndarray | None:
    """Axis-angles (N, 72) from any of the forms of a pose."""
    if "global_orient" in arrays and "body_pose" in arrays:
        angles = [
            _axis_angles(path, name, arrays[name], ids, n)
            for name, n in (("global_orient", 1), ("body_pose", 23))
        ]
        pose = np.concatenate(angles, axis=1)
    else:
        found = arrays.get("pose", arrays.get("rotations"))
        if found is None:
            return None
        pose = _axis_angles(path, "pose", found, ids, 24)
    if declared.axes != "y-down":
        turn = Rotation.from_matrix(AXES[declared.axes])
        pose[:, :3] = (turn * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
    return pose


def _axis_angles(path: Path, name: str, given: np.ndarray, ids: list[str], n: int) -> np.ndarray:
    """Rotations of `n` joints, matrices or axis-angles, as axis-angles (N, 3n).

    Raises:
        UserError: another shape, or a matrix that is no rotation; the person is named.
    """
    given = given.astype(np.float64)
    if given.shape[1:] == (n, 3, 3):
        size = np.abs(given @ given.swapaxes(-1, -2) - np.eye(3)).max((2, 3))
        faulty = (size > _ROTATION_TOLERANCE) | (np.linalg.det(given) < 0)
        if faulty.any():
            row, joint = (int(index) for index in np.argwhere(faulty)[0])
            raise UserError(
                f"{path}: {ids[row]}: {name}: the matrix of joint {joint} is no rotation "
                f"({int(faulty.any(1).sum())} people); give orthonormal matrices or axis-angles"
            )
        return matrix_to_axis_angle(torch.from_numpy(given)).flatten(1).numpy()
    if given.shape[1:] not in ((3 * n,), (n, 3)):
        other = "; 21 joints are SMPL-H's or SMPL-X's, convert the bodies to SMPL" * (
            given.shape[1] in (21, 63)
        )
        raise UserError(
            f"{path}: {name}: expected (N, {3 * n}) or (N, {n}, 3, 3), found {given.shape}{other}; {_FIX}"
        )
    return given.reshape(len(given), 3 * n).copy()


def _read_rows(path: Path, arrays: Mapping[str, np.ndarray], name: str, width: int) -> np.ndarray | None:
    if name not in arrays:
        return None
    if arrays[name].shape[1:] != (width,):
        raise UserError(f"{path}: {name}: expected (N, {width}), found {arrays[name].shape}; {_FIX}")
    return arrays[name].astype(np.float32)
