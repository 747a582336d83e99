"""What joints of a person can do, as a yes-or-no rule on a pose.

A Gaussian has no ends: some of its samples bend a knee forwards. The rule leaves those out. It is meant for
drawing poses, not for judging recordings.
"""

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import SMPL24

# Largest turn of each joint against its parent, radians: the ranges of motion of clinical tables, widened to
# what the dancers, fighters and climbers of the CMU recordings show.
MAX_ANGLE_RAD = {
    "hip": 2.3, "knee": 2.6, "ankle": 1.1, "foot": 1.1, "spine1": 1.1, "spine2": 0.6, "spine3": 0.7,
    "neck": 0.8, "head": 1.1, "collar": 0.6, "shoulder": 2.4, "elbow": 2.6, "wrist": 1.3, "hand": 0.6,
}  # fmt: skip

# Hinges: (joint, axis, sign of bending). Knees bend about +x, the left elbow about −y, the right about +y.
HINGES = (("left_knee", 0, 1.0), ("right_knee", 0, 1.0), ("left_elbow", 1, -1.0), ("right_elbow", 1, 1.0))
OVERSTRETCH_RAD = 0.1
# A knee neither twists nor bends sideways by more than this.
KNEE_OFF_AXIS_RAD = 0.3

_BODY = SMPL24[1:]
_LIMITS = np.array([MAX_ANGLE_RAD[name.removeprefix("left_").removeprefix("right_")] for name in _BODY])


def is_plausible(poses: Float[np.ndarray, "N 69"]) -> Bool[np.ndarray, " N"]:
    """Whether a person's joints can take each pose.

    Every joint within its range of motion, knees and elbows not bent backwards by more than 0.1 rad, knees
    not bent sideways. Contact and balance are not looked at.
    """
    joints = poses.reshape(-1, len(_BODY), 3)
    fine = (np.linalg.norm(joints, axis=2) <= _LIMITS).all(1)
    for name, axis, sign in HINGES:
        fine &= sign * joints[:, _BODY.index(name), axis] >= -OVERSTRETCH_RAD
    for name in ("left_knee", "right_knee"):
        fine &= (np.abs(joints[:, _BODY.index(name), 1:]) <= KNEE_OFF_AXIS_RAD).all(1)
    return fine
