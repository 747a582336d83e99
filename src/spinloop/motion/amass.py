"""Reader of AMASS files: SMPL-H or SMPL-X poses in npz."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.motion.clips import Clip

# Root and 21 body joints, then fingers (SMPL-H) or face and fingers (SMPL-X); SMPL alone ends with two hands.
_N_BODY = 66
_WIDTHS = (72, 156, 165)
_RATES = ("mocap_framerate", "mocap_frame_rate")
KEYS = ("poses", *_RATES)


def is_amass(keys: set[str]) -> bool:
    """Whether an npz with these keys is an AMASS recording."""
    return "poses" in keys and any(rate in keys for rate in _RATES)


def read_amass(path: Path, arrays: dict[str, np.ndarray]) -> Clip:
    """The body's poses; hands are left at zero unless the file is plain SMPL.

    AMASS stands its world on z; here it is turned to y up.

    Args:
        path: the file, for the name of the clip and the messages.
        arrays: its content.

    Raises:
        UserError: the poses have another width or are not finite.
    """
    poses = arrays["poses"]
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or not len(poses):
        raise UserError(
            f"{path}: poses: expected (F, 72), (F, 156) or (F, 165), found {poses.shape}; restore it"
        )
    if not np.isfinite(poses).all():
        raise UserError(f"{path}: poses: not all entries are finite numbers; restore the file")
    rate = next(float(arrays[key]) for key in _RATES if key in arrays)
    full = np.zeros((len(poses), 72))
    kept = 72 if poses.shape[1] == 72 else _N_BODY
    full[:, :kept] = poses[:, :kept]
    upright = Rotation.from_euler("x", -90, degrees=True) * Rotation.from_rotvec(full[:, :3])
    full[:, :3] = upright.as_rotvec()
    return Clip(path.stem, rate, full)
