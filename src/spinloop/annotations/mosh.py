"""SMPL parameters that MoSh fitted to Human3.6M's markers, from the files that went round with HMR.

Expected tree: `<folder>/S1/Directions 1_cam0_aligned.pkl`, one file per recording, cameras counted in the
order of their names: `new_poses`, one pose for every fifth frame with the root in camera axes, and `betas`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.safe_pickle import load_pickle

_EVERY = 5
_CURE = "get MoSh's files again, or set sources.<split>.mosh to null"
# The files hold the body upside down, as SMPL's y axis points up and the camera's down.
_UPRIGHT = Rotation.from_rotvec([np.pi, 0.0, 0.0])


class Mosh(NamedTuple):
    """The bodies of one recording."""

    poses: Float[np.ndarray, "N 72"]
    """Axis-angle, the root in camera axes; one row for every fifth frame."""
    betas: Float[np.ndarray, " 10"]

    @classmethod
    def find(cls, folder: Path, subject: str, action: str, camera: int) -> "Mosh":
        """The bodies of a recording; none if MoSh did not fit it (its file is absent).

        Raises:
            UserError: there is no such folder, or the file is damaged or of another shape.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {_CURE}")
        path = folder / subject / f"{action}_cam{camera}_aligned.pkl"
        if not path.is_file():
            return cls(np.zeros((0, 72)), np.zeros(10))
        content = load_pickle(path, _CURE)
        if not isinstance(content, Mapping):
            raise UserError(f"{path}: expected a dictionary, found {type(content).__name__}; {_CURE}")
        poses, betas = (_numbers(path, key, content.get(key)) for key in ("new_poses", "betas"))
        if poses.ndim != 2 or poses.shape[1] != 72 or betas.shape != (10,):
            found = f"{poses.shape} and {betas.shape}"
            raise UserError(f"{path}: expected new_poses N × 72 and betas 10, found {found}; {_CURE}")
        roots = Rotation.from_rotvec(poses[:, :3]) * _UPRIGHT
        return cls(np.concatenate([roots.as_rotvec(), poses[:, 3:]], axis=1), betas)

    def body(self, frame: int) -> dict[str, Any]:
        """`pose`, `betas` and `gender` of a record; empty where MoSh has none."""
        row, rest = divmod(frame, _EVERY)
        if rest or row >= len(self.poses):
            return {}
        return {"pose": self.poses[row], "betas": self.betas, "gender": "neutral"}


def _numbers(path: Path, key: str, value: Any) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {key}: expected finite numbers, found {type(value).__name__}; {_CURE}")
    return array
