"""The estimate that the regressor starts from: the mean body and a camera that shows it whole."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_rot6d

# HMR's mean camera: the crop spans 2 / 0.9 metres about the root.
_CAMERA = (0.9, 0.0, 0.0)
_ROUNDING = 1e-3
_SIZES = {"pose": 144, "shape": 10, "cam": 3}
_CURE = "name SPIN's smpl_mean_params.npz, or leave it out to derive the mean"


class MeanParameters(NamedTuple):
    """Start of the head's iterations; the fields are the keys of SPIN's `smpl_mean_params.npz`."""

    pose: Float[np.ndarray, " 144"]
    """6D rotations of the 24 joints; the root turns the body's y-up axes to the camera's y-down ones."""
    shape: Float[np.ndarray, " 10"]
    """Shape coefficients."""
    cam: Float[np.ndarray, " 3"]
    """Weak-perspective camera (s, tx, ty)."""


def mean_from_prior(means: Float[np.ndarray, "M 69"], weights: Float[np.ndarray, " M"]) -> MeanParameters:
    """Mean of the pose distribution, root turned by π about x, mean shape, camera (0.9, 0, 0).

    Args:
        means: body poses (axis-angle of joints 1–23, radians) at the middle of the mixture's components.
        weights: of the components; they sum to one.

    Source:
        SPIN's data notes and HMR's trainer, which replaces the mean's root in the same way.
    """
    body = weights @ means
    pose = torch.tensor(np.concatenate([[np.pi, 0.0, 0.0], body])).view(24, 3)
    six = matrix_to_rot6d(axis_angle_to_matrix(pose)).flatten().numpy().astype(np.float32)
    return MeanParameters(six, np.zeros(10, np.float32), np.array(_CAMERA, np.float32))


def load_mean(path: Path) -> MeanParameters:
    """Read SPIN's `smpl_mean_params.npz`.

    Raises:
        UserError: the file is absent, not an npz, or an array is missing or of another size.
    """
    arrays = read_npz(path, _CURE, _SIZES)
    for key, size in _SIZES.items():
        found = arrays.get(key)
        if found is None or found.shape != (size,) or found.dtype.kind not in "fiu":
            what = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(f"{path}: {key}: expected {size} numbers, found {what}; use SPIN's file")
    mean = MeanParameters(*(arrays[key].astype(np.float32) for key in MeanParameters._fields))
    _check_order(path, mean.pose)
    return mean


def _check_order(path: Path, pose: Float[np.ndarray, " 144"]) -> None:
    """Refuse the other order in which people write six numbers: one column after the other.

    The six numbers of a rotation are two orthogonal unit columns only in the order they were written in.
    """
    faults = [
        _fault(columns) for columns in (pose.reshape(24, 3, 2), pose.reshape(24, 2, 3).transpose(0, 2, 1))
    ]
    if faults[1] < _ROUNDING < faults[0]:
        raise UserError(
            f"{path}: pose: the columns of the rotations follow each other; use SPIN's interleaved file"
        )


def _fault(columns: Float[np.ndarray, "24 3 2"]) -> float:
    return float(np.abs(np.einsum("jik,jil->jkl", columns, columns) - np.eye(2)).max())
