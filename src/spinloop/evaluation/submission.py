"""Anybody's predictions and truths: read from npz or HDF5, checked, joined by id.

A file holds `ids` (N,) and either `joints` (N, J, 3) in metres and camera axes, J being the 17 H36M joints or
whatever `joint_names` (J,) says, or a body: `pose` (N, 72) or (N, 24, 3, 3) and `betas` (N, 10), and for
masks also `camera` (N, 3), the weak-perspective camera of the 224 px crop. A truth may add `gender` (N,) and
`sequence` (N,).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.files import read_npz, require_file
from spinloop.geometry.rotations import matrix_to_axis_angle
from spinloop.joints import H36M17

_CURE = "see `spinloop score --help` for what the file must hold"
_LABELS = ("gender", "sequence")
_TEXTS = ("ids", "joint_names", *_LABELS)
_NUMBERS = ("joints", "pose", "rotations", "betas", "camera")
# No joint of a person is this far from the person's other joints; in millimetres nearly all are.
_FARTHEST_M = 10.0


@dataclass(frozen=True)
class Submitted:
    """People of a file, in the order of its ids."""

    path: Path
    ids: list[str]
    joints: Float[np.ndarray, "N 17 3"] | None
    """`joints.H36M17`, metres; not a number where the file has no such joint."""
    pose: Float[np.ndarray, "N 72"] | None
    """Axis-angles; the root's in camera axes."""
    betas: Float[np.ndarray, "N 10"] | None
    camera: Float[np.ndarray, "N 3"] | None
    labels: Mapping[str, list[str]]
    """`gender` and `sequence`, where the file has them."""

    def take(self, rows: Int[np.ndarray, " M"]) -> "Submitted":
        """Some of the people."""
        names = ("joints", "pose", "betas", "camera")
        arrays = {name: getattr(self, name) for name in names}
        chosen = {name: None if array is None else array[rows] for name, array in arrays.items()}
        labels = {name: [values[row] for row in rows] for name, values in self.labels.items()}
        return replace(self, ids=[self.ids[row] for row in rows], labels=labels, **chosen)


def read_submitted(path: Path) -> Submitted:
    """Read and check a file of predictions or of truths.

    Raises:
        UserError: nobody is in it, an id is there twice, an array is missing, of the wrong shape, not finite
            or not in metres; the first person is named.
    """
    arrays = _arrays(path)
    if "ids" not in arrays:
        raise UserError(f"{path}: ids: missing; {_CURE}")
    if arrays["ids"].ndim != 1:
        raise UserError(f"{path}: ids: expected a list, found shape {arrays['ids'].shape}; {_CURE}")
    ids = _texts(arrays["ids"])
    if not ids:
        raise UserError(f"{path}: ids: nobody in the file; give at least one person")
    counts = Counter(ids)
    if len(counts) != len(ids):
        twice = next(key for key in ids if counts[key] > 1)
        raise UserError(f"{path}: {twice}: this id occurs twice; keep one row per person")
    for name in _NUMBERS:
        if name in arrays:
            _check_numbers(path, name, arrays[name], ids)
    labels = {name: _labels(path, name, arrays[name], ids) for name in _LABELS if name in arrays}
    joints, pose = _joints(path, arrays, ids), _pose(path, arrays)
    betas, camera = (_rows(path, arrays, name, width) for name, width in (("betas", 10), ("camera", 3)))
    if joints is None and (pose is None or betas is None):
        raise UserError(f"{path}: neither joints nor pose and betas; {_CURE}")
    return Submitted(path, ids, joints, pose, betas, camera, labels)


def match_ids(
    predicted: Sequence[str], wanted: Sequence[str], path: Path, truth: Path
) -> Int[np.ndarray, " N"]:
    """Position of each wanted person among the predicted ones; both must be the same people.

    Args:
        predicted: ids of the predictions.
        wanted: ids of the truth.
        path: file of the predictions, for the message.
        truth: file of the truth, for the message.

    Raises:
        UserError: somebody is missing or too many; the first one is named.
    """
    row_of = {key: row for row, key in enumerate(predicted)}
    missing = [key for key in wanted if key not in row_of]
    if missing:
        raise UserError(
            f"{path}: {missing[0]}: missing ({len(missing)} of {len(wanted)}); predict all of {truth}"
        )
    extra = set(row_of) - set(wanted)
    if extra:
        first = next(key for key in predicted if key in extra)
        raise UserError(f"{path}: {first}: not in {truth} ({len(extra)} too many); leave such people out")
    return np.array([row_of[key] for key in wanted], dtype=np.int64)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    require_file(path, _CURE)
    names = (*_TEXTS, *_NUMBERS)
    if path.suffix == ".npz":
        return read_npz(path, _CURE, names)
    try:
        with h5py.File(path) as file:
            arrays = {name: np.asarray(file[name]) for name in names if name in file}
            if "joint_names" in file.attrs:
                arrays.setdefault("joint_names", np.asarray(file.attrs["joint_names"]))
            return arrays
    except OSError as error:
        raise UserError(f"{path}: neither npz nor HDF5 ({error}); {_CURE}") from None


def _texts(array: np.ndarray) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]


def _labels(path: Path, name: str, array: np.ndarray, ids: list[str]) -> list[str]:
    if array.shape != (len(ids),):
        raise UserError(
            f"{path}: {name}: expected one for each of {len(ids)} ids, found {array.shape}; {_CURE}"
        )
    return _texts(array)


def _check_numbers(path: Path, name: str, array: np.ndarray, ids: list[str]) -> None:
    if not np.issubdtype(array.dtype, np.number) or array.ndim < 2 or len(array) != len(ids):
        raise UserError(f"{path}: {name}: expected a row of numbers for each of {len(ids)} ids; {_CURE}")
    faulty = ~np.isfinite(array.reshape(len(array), -1)).all(1)
    if faulty.any():
        first = ids[int(np.flatnonzero(faulty)[0])]
        raise UserError(
            f"{path}: {first}: {name}: not all numbers are finite ({int(faulty.sum())} people); "
            "give an estimate for everybody"
        )


def _joints(path: Path, arrays: Mapping[str, np.ndarray], ids: list[str]) -> np.ndarray | None:
    if "joints" not in arrays:
        return None
    given = arrays["joints"].astype(np.float64)
    names = _texts(arrays["joint_names"]) if "joint_names" in arrays else list(H36M17)
    if given.ndim != 3 or given.shape[1:] != (len(names), 3):
        found = " × ".join(str(side) for side in given.shape[1:])
        raise UserError(
            f"{path}: {ids[0]}: joints: expected {len(names)} × 3 numbers, found {found}; give the 17 H36M "
            "joints, or say in joint_names which these are"
        )
    spread = np.linalg.norm(given - given.mean(1, keepdims=True), axis=-1).max(1)
    if (spread > _FARTHEST_M).any():
        row = int(np.flatnonzero(spread > _FARTHEST_M)[0])
        raise UserError(
            f"{path}: {ids[row]}: joints: {spread[row]:.0f} m from their middle; they look like millimetres, "
            "divide by 1000"
        )
    joints = np.full((len(given), len(H36M17), 3), np.nan)
    for row, name in enumerate(H36M17):
        if name in names:
            joints[:, row] = given[:, names.index(name)]
    return joints


def _pose(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    pose = arrays.get("pose", arrays.get("rotations"))
    if pose is None:
        return None
    if pose.shape[1:] == (24, 3, 3):
        return matrix_to_axis_angle(torch.from_numpy(pose.astype(np.float64))).flatten(1).numpy()
    if pose.shape[1:] != (72,):
        raise UserError(f"{path}: pose: expected (N, 72) or (N, 24, 3, 3), found {pose.shape}; {_CURE}")
    return pose.astype(np.float64)


def _rows(path: Path, arrays: Mapping[str, np.ndarray], name: str, width: int) -> np.ndarray | None:
    if name not in arrays:
        return None
    if arrays[name].shape[1:] != (width,):
        raise UserError(f"{path}: {name}: expected (N, {width}), found {arrays[name].shape}; {_CURE}")
    return arrays[name].astype(np.float32)
