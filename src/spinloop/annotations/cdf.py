"""Human3.6M's poses: CDF files with one variable, `Pose`, of 1 × frames × numbers."""

import struct
import zlib
from pathlib import Path

import cdflib
import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import require_file

N_JOINTS = 32
_CURE = "download Human3.6M's poses again"
# What cdflib raises when bytes are missing or wrong, or the version is one that it does not know.
_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_poses(path: Path, dimensions: int) -> Float[np.ndarray, "F 32 D"]:
    """The joints of every frame.

    Args:
        path: the file.
        dimensions: numbers of a joint: 3 (mm) or 2 (px).

    Raises:
        UserError: the file is absent, damaged, of an unknown version, or holds something else.
    """
    require_file(path, "unpack Human3.6M's poses there")
    try:
        poses = np.asarray(cdflib.CDF(path).varget("Pose"))
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a CDF file with poses ({reason}); {_CURE}") from None
    width = N_JOINTS * dimensions
    if poses.dtype.kind != "f" or poses.ndim != 3 or poses.shape[0] != 1 or poses.shape[2] != width:
        shown = " × ".join(map(str, poses.shape))
        raise UserError(
            f"{path}: Pose: expected numbers, 1 × frames × {width}, found {poses.dtype}, {shown}; {_CURE}"
        )
    return poses[0].reshape(-1, N_JOINTS, dimensions).astype(np.float64)
