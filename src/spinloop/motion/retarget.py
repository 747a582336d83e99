"""Retargeting of recordings from their own skeleton to SMPL's 24 rotations.

Each SMPL joint takes the world rotation of one bone. The zero poses of the two skeletons differ (arms may
hang, legs may be spread), so the shortest rotation from SMPL's bone to the recording's bone in the zero poses
is applied first. The twist of a bone about its own axis between the zero poses stays unknown.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.joints import SMPL24, SMPL_PARENTS
from spinloop.motion.clips import Clip, Recording, world_rotations


class _Naming(NamedTuple):
    """Names that a program gives to bones, in lower case."""

    left: str
    right: str
    middle: dict[str, str]
    """SMPL joint → bone."""
    sides: dict[str, str]
    """SMPL joint without its side → bone; `{s}` stands for the prefix of the side."""


_CMU = _Naming(
    "l",
    "r",
    {"pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax", "neck": "lowerneck",
     "head": "head"},
    {"hip": "{s}femur", "knee": "{s}tibia", "ankle": "{s}foot", "foot": "{s}toes", "collar": "{s}clavicle",
     "shoulder": "{s}humerus", "elbow": "{s}radius", "wrist": "{s}wrist"},
)  # fmt: skip
_MOTION_BUILDER = _Naming(
    "left",
    "right",
    {"pelvis": "hips", "spine1": "lowerback", "spine2": "spine", "spine3": "spine1", "neck": "neck",
     "head": "head"},
    {"hip": "{s}upleg", "knee": "{s}leg", "ankle": "{s}foot", "foot": "{s}toebase", "collar": "{s}shoulder",
     "shoulder": "{s}arm", "elbow": "{s}forearm", "wrist": "{s}hand"},
)  # fmt: skip
_MAX = _Naming(
    "left",
    "right",
    {"pelvis": "hips", "spine1": "lowerback", "spine2": "chest", "spine3": "chest2", "neck": "lowerneck",
     "head": "head"},
    {"hip": "{s}hip", "knee": "{s}knee", "ankle": "{s}ankle", "foot": "{s}toe", "collar": "{s}collar",
     "shoulder": "{s}shoulder", "elbow": "{s}elbow", "wrist": "{s}wrist"},
)  # fmt: skip
_DAZ = _Naming(
    "l",
    "r",
    {"pelvis": "hip", "spine1": "abdomen", "spine3": "chest", "neck": "neck", "head": "head"},
    {"hip": "{s}thigh", "knee": "{s}shin", "ankle": "{s}foot", "collar": "{s}collar", "shoulder": "{s}shldr",
     "elbow": "{s}forearm", "wrist": "{s}hand"},
)  # fmt: skip
_NAMINGS = (_CMU, _MOTION_BUILDER, _MAX, _DAZ)
# Joints that every skeleton must have.
_NEEDED = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle", "shoulder", "elbow")
)

# Directions of the bones of SMPL's T-pose (left side; the right mirrors x), in its axes: y up, +z ahead.
_T_POSE = {
    "hip": (0.06, -1.0, 0.0), "knee": (0.06, -1.0, 0.0), "ankle": (0.1, -0.45, 1.0),
    "shoulder": (1.0, 0.0, 0.0), "elbow": (1.0, 0.0, 0.0),
}  # fmt: skip
# Largest angle of any joint of a first frame that is taken for the T-pose.
_T_POSE_WITHIN_RAD = 0.35


def to_clip(recording: Recording, name: str, where: str) -> Clip:
    """The recording as SMPL poses, y up and facing +z in the zero pose.

    Joints that the skeleton lacks are zero. A first frame in the T-pose is dropped: programs add it to mark
    the zero pose.

    Args:
        recording: bones named as in one of the releases of CMU's motion: Acclaim, MotionBuilder, 3ds Max or
            Daz.
        name: of the clip.
        where: the file, for the message.

    Raises:
        UserError: the bones have other names.
    """
    bones = _bones(recording, where)
    upright = _axes(recording, bones)
    world = world_rotations(recording.rotations, recording.parents)
    rotated: list[np.ndarray] = []
    for joint, parent in enumerate(SMPL_PARENTS):
        if SMPL24[joint] in bones:
            own = upright.T @ world[:, bones[SMPL24[joint]]] @ upright
            rotated.append(own @ _correction(recording, bones, SMPL24[joint], upright))
        else:
            rotated.append(rotated[parent])
    poses = np.zeros((len(world), 24, 3))
    for joint, parent in enumerate(SMPL_PARENTS):
        if SMPL24[joint] in bones:
            local = rotated[joint] if parent < 0 else rotated[parent].transpose(0, 2, 1) @ rotated[joint]
            poses[:, joint] = Rotation.from_matrix(local).as_rotvec()
    first = int(len(poses) > 1 and np.linalg.norm(poses[0, 1:], axis=1).max() < _T_POSE_WITHIN_RAD)
    return Clip(name, recording.fps, poses[first:].reshape(-1, 72))


def _bones(recording: Recording, where: str) -> dict[str, int]:
    """SMPL joint → bone, by the naming that matches most joints."""
    index = {name.lower(): i for i, name in enumerate(recording.names)}
    found = max((_matches(naming, index) for naming in _NAMINGS), key=len)
    missing = [joint for joint in ("pelvis", *_NEEDED) if joint not in found]
    if missing:
        raise UserError(
            f"{where}: no bone for {missing[0]} in a known naming; name the bones as CMU's ASF files do"
        )
    return found


def _matches(naming: _Naming, index: dict[str, int]) -> dict[str, int]:
    names = dict(naming.middle)
    for side, prefix in (("left", naming.left), ("right", naming.right)):
        names |= {f"{side}_{joint}": bone.format(s=prefix) for joint, bone in naming.sides.items()}
    return {joint: index[bone] for joint, bone in names.items() if bone in index}


def _axes(recording: Recording, bones: dict[str, int]) -> Float[np.ndarray, "3 3"]:
    """Columns: the recording's directions left, up and ahead, as signed axes."""
    hips = recording.rest[[bones["left_hip"], bones["right_hip"]]]
    shoulders = recording.rest[[bones["left_shoulder"], bones["right_shoulder"]]]
    left = _nearest_axis(hips[0] - hips[1])
    up = _nearest_axis(shoulders.mean(0) - hips.mean(0))
    return np.stack([left, up, np.cross(left, up)], axis=1)


def _nearest_axis(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    axis = np.zeros(3)
    longest = int(np.abs(vector).argmax())
    axis[longest] = np.sign(vector[longest])
    return axis


def _correction(
    recording: Recording, bones: dict[str, int], joint: str, upright: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "3 3"]:
    """The shortest rotation from SMPL's bone to the recording's, both in the zero pose, in SMPL's axes."""
    side, _, part = joint.partition("_")
    # The hand is in line with the forearm; toes point straight ahead in both zero poses.
    above = {"wrist": "elbow"}.get(part, part)
    if side not in ("left", "right") or above not in _T_POSE:
        return np.eye(3)
    bone = bones[f"{side}_{above}"]
    child = {"hip": "knee", "knee": "ankle", "ankle": "foot", "shoulder": "elbow", "elbow": "wrist"}[above]
    end = bones.get(f"{side}_{child}")
    tip = recording.tips[bone] if end is None else recording.rest[end]
    target = upright.T @ (tip - recording.rest[bone])
    source = np.array(_T_POSE[above]) * [1 if side == "left" else -1, 1, 1]
    return _shortest_rotation(source / np.linalg.norm(source), target / np.linalg.norm(target))


def _shortest_rotation(
    source: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "3 3"]:
    axis, cosine = np.cross(source, target), float(source @ target)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
