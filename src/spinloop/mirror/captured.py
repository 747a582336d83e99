"""The joints that motion capture reports of a body, in the order of each dataset.

Both datasets' skeletons are made of the body's H36M joints, whose regressor defines these names for the whole
package, and of its own joints where a skeleton has more than those.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from spinloop.joints import H36M17, MODEL49, SMPL24, JointSet
from spinloop.mirror.people import Cast, Character, Stance

# Human3.6M's 32 joints; several stand in one place, as in the original.
H36M32: JointSet = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe", "left_hip",
    "left_knee", "left_ankle", "smpl_left_foot", "op_left_big_toe", "pelvis", "spine", "neck", "jaw", "head",
    "neck", "left_shoulder", "left_elbow", "left_wrist", "left_wrist", "smpl_left_hand", "left_wrist",
    "smpl_left_hand", "neck", "right_shoulder", "right_elbow", "right_wrist", "right_wrist",
    "smpl_right_hand", "right_wrist", "smpl_right_hand",
)  # fmt: skip
# MPI-INF-3DHP's 28 joints of the training set.
MPI28: JointSet = (
    "smpl_spine3", "smpl_neck", "smpl_spine2", "spine", "pelvis", "neck", "jaw", "head", "smpl_left_collar",
    "left_shoulder", "left_elbow", "left_wrist", "smpl_left_hand", "smpl_right_collar", "right_shoulder",
    "right_elbow", "right_wrist", "smpl_right_hand", "left_hip", "left_knee", "left_ankle", "smpl_left_foot",
    "op_left_big_toe", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe",
)  # fmt: skip
# Its 17 joints of the test set.
MPI17: JointSet = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis",
    "spine", "jaw",
)  # fmt: skip
# From the knees to the neck, the size of MPI-INF-3DHP's universal skeleton.
_UNIVERSAL_M = 0.92


def captured_joints(cast: Cast, stance: Stance, names: Sequence[str]) -> Float[np.ndarray, "J 3"]:
    """Joints of somebody, world axes, metres.

    Args:
        cast: the bodies.
        stance: the person.
        names: `joints.H36M17`, `smpl_` and `joints.SMPL24`, or `joints.MODEL49`.
    """
    regressor = cast.files[stance.character.gender].J_regressor_h36m.astype(np.float64)
    points = dict(zip(MODEL49, stance.joints49, strict=True))
    points |= dict(zip(H36M17, regressor @ stance.vertices, strict=True))
    points |= {f"smpl_{name}": point for name, point in zip(SMPL24, stance.joints24, strict=True)}
    return np.stack([points[name] for name in names])


def universal_factor(cast: Cast, character: Character) -> float:
    """What makes somebody as large as the universal skeleton."""
    model = cast.models[character.gender]
    with torch.no_grad():
        vertices = model.vertices(torch.zeros(1, 72), torch.tensor(character.betas)[None])
        joints = dict(zip(H36M17, model.regress_h36m(vertices)[0].double().numpy(), strict=True))
    trunk = np.linalg.norm(joints["neck"] - joints["pelvis"])
    return float(_UNIVERSAL_M / (trunk + np.linalg.norm(joints["left_hip"] - joints["left_knee"])))
