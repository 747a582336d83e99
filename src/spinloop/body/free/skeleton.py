"""Anny's bones merged into SMPL's 24 joints: skinning weights and the six parts."""

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from spinloop.joints import SMPL24, SMPL24_MIRROR

# What each of Anny's bones becomes, by the beginning of its name; the longest match counts.
_JOINT_OF_BONE = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine2",
    "spine02": "spine3", "spine01": "spine3", "neck": "neck", "head": "head", "eye": "head",
    "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot",
    "clavicle": "collar", "shoulder": "collar", "upperarm": "shoulder", "lowerarm": "elbow",
    "wrist": "wrist", "metacarpal": "wrist", "finger1": "wrist", "finger": "hand",
}  # fmt: skip

# The labels of LSP's part masks: 1 left arm, 2 right arm, 3 head and neck, 4 left leg, 5 right leg, 6 torso.
_PART_OF_JOINT = {
    "shoulder": (1, 2), "elbow": (1, 2), "wrist": (1, 2), "hand": (1, 2), "neck": (3, 3), "head": (3, 3),
    "hip": (4, 5), "knee": (4, 5), "ankle": (4, 5), "foot": (4, 5), "collar": (6, 6), "pelvis": (6, 6),
    "spine1": (6, 6), "spine2": (6, 6), "spine3": (6, 6),
}  # fmt: skip

_MAX_WEIGHTS = 4


def joint_of_bone(bone: str) -> str:
    """SMPL's joint that moves what Anny's `bone` moves."""
    stem, _, side = bone.partition(".")
    match = max((key for key in _JOINT_OF_BONE if stem.startswith(key)), key=len)
    name = _JOINT_OF_BONE[match]
    return f"{ {'L': 'left', 'R': 'right'}[side] }_{name}" if f"left_{name}" in SMPL24 else name


def merge_weights(
    weights: Float[ndarray, "V B"], bones: tuple[str, ...], mirror: Int[ndarray, " V"]
) -> Float[ndarray, "V 24"]:
    """Sum Anny's weights into SMPL's joints and keep the four largest of each vertex.

    Args:
        weights: rows sum to one.
        bones: Anny's names of the columns.
        mirror: the vertex on the other side; the result is exactly symmetric.

    Returns:
        Rows sum to one. Where the fourth largest weight ties with the fifth, both are left out.
    """
    merged = np.zeros((len(weights), len(SMPL24)))
    for column, bone in enumerate(bones):
        merged[:, SMPL24.index(joint_of_bone(bone))] += weights[:, column]
    merged = (merged + merged[mirror][:, SMPL24_MIRROR]) / 2
    largest_dropped = np.sort(merged, axis=1)[:, -_MAX_WEIGHTS - 1, None]
    merged[merged <= largest_dropped] = 0.0
    return merged / merged.sum(axis=1, keepdims=True)


def part_labels(weights: Float[ndarray, "V 24"], faces: Int[ndarray, "F 3"]) -> UInt8[ndarray, " F"]:
    """The part, 1 to 6, that moves most of each face."""
    shares = np.zeros((len(weights), 7))
    for column, joint in enumerate(SMPL24):
        side, _, name = joint.rpartition("_")
        shares[:, _PART_OF_JOINT[name][side == "right"]] += weights[:, column]
    return shares[faces].sum(axis=1).argmax(axis=1).astype(np.uint8)
