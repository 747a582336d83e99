"""What moves the mesh: skinning weights of SMPL's 24 joints, the six parts, and pose blend shapes.

Linear blend skinning averages matrices, so a vertex that belongs half to each of two bones is pulled towards
the joint as they bend. Rotating the vertex about the joint by its share of the angle keeps its distance (for
one joint this is dual quaternion skinning). The offset between the two, in the rest pose, is fitted for each
joint as a linear function of its rotation matrix, which is the form of SMPL's pose blend shapes.

Source: Loper et al., SMPL (2015), for the form; Kavan et al., Geometric skinning with approximate dual
quaternion blending (2008), for the target.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from spinloop.body.skinning import descendants
from spinloop.joints import SMPL24, SMPL24_FLIP, SMPL_PARENTS

# SMPL's joint of each of Anny's bones, by the longest prefix of the bone's name.
_JOINT_OF_BONE = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine2",
    "spine02": "spine3", "spine01": "spine3", "neck": "neck", "head": "head", "eye": "head",
    "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot",
    "clavicle": "collar", "shoulder": "collar", "upperarm": "shoulder", "lowerarm": "elbow",
    "wrist": "wrist", "metacarpal": "wrist", "finger1": "wrist", "finger": "hand",
}  # fmt: skip

# Labels (left, right) of `body.files.PART_NAMES`, counted from 1.
_PART_OF_JOINT = {
    "shoulder": (1, 2), "elbow": (1, 2), "wrist": (1, 2), "hand": (1, 2), "neck": (3, 3), "head": (3, 3),
    "hip": (4, 5), "knee": (4, 5), "ankle": (4, 5), "foot": (4, 5), "collar": (6, 6), "pelvis": (6, 6),
    "spine1": (6, 6), "spine2": (6, 6), "spine3": (6, 6),
}  # fmt: skip

_MAX_WEIGHTS = 4


def joint_of_bone(bone: str) -> str:
    """SMPL's joint that takes the place of one of Anny's bones."""
    stem, _, side = bone.partition(".")
    match = max((key for key in _JOINT_OF_BONE if stem.startswith(key)), key=len)
    name = _JOINT_OF_BONE[match]
    return f"{ {'L': 'left', 'R': 'right'}[side] }_{name}" if f"left_{name}" in SMPL24 else name


def merge_weights(
    weights: Float[ndarray, "V B"], bones: tuple[str, ...], flip: Int[ndarray, " V"]
) -> Float[ndarray, "V 24"]:
    """Anny's weights summed into SMPL's joints, of which the four largest of each vertex are kept.

    Args:
        weights: rows sum to one.
        bones: Anny's names of the columns.
        flip: the vertex on the other side.

    Returns:
        Exactly symmetric; rows sum to one. If the fourth and the fifth largest weight are equal, both are
        dropped.
    """
    merged = np.zeros((len(weights), len(SMPL24)))
    for column, bone in enumerate(bones):
        merged[:, SMPL24.index(joint_of_bone(bone))] += weights[:, column]
    merged = (merged + merged[flip][:, SMPL24_FLIP]) / 2
    largest_dropped = np.sort(merged, axis=1)[:, -_MAX_WEIGHTS - 1, None]
    merged[merged <= largest_dropped] = 0.0
    return merged / merged.sum(axis=1, keepdims=True)


def part_labels(weights: Float[ndarray, "V 24"], faces: Int[ndarray, "F 3"]) -> UInt8[ndarray, " F"]:
    """The part, 1 to 6, with the largest weight in each face."""
    shares = np.zeros((len(weights), 7))
    for column, joint in enumerate(SMPL24):
        side, _, name = joint.rpartition("_")
        shares[:, _PART_OF_JOINT[name][side == "right"]] += weights[:, column]
    return shares[faces].sum(axis=1).argmax(axis=1).astype(np.uint8)


# Lowest and highest rotation vector of the joints of the left side and the midline, degrees. In the T-pose
# the left arm lies along +x, so its elbow bends about −y.
_RANGES_DEG = {
    "hip": ((-120, -45, -30), (30, 45, 60)),
    "knee": ((0, -20, -10), (140, 20, 10)),
    "ankle": ((-40, -30, -30), (50, 30, 30)),
    "foot": ((-40, -10, -10), (40, 10, 10)),
    "spine1": ((-20, -35, -30), (45, 35, 30)),
    "spine2": ((-20, -35, -30), (45, 35, 30)),
    "spine3": ((-20, -35, -30), (45, 35, 30)),
    "neck": ((-40, -50, -35), (40, 50, 35)),
    "head": ((-40, -50, -35), (40, 50, 35)),
    "collar": ((-15, -25, -25), (15, 25, 40)),
    "shoulder": ((-70, -110, -85), (70, 40, 70)),
    "elbow": ((-70, -145, -10), (70, 5, 10)),
    "wrist": ((-40, -40, -70), (40, 40, 70)),
    "hand": ((-20, -20, -70), (20, 20, 40)),
}  # fmt: skip
_SAMPLES = 80
# Between plain skinning (0), which loses volume, and rotating about the joint (1), which bulges on the
# outside.
_FULLNESS = 0.7
# Penalty on offsets that the sampled rotations do not determine.
_RIDGE = 1e-3
# Smaller entries are set to zero: their largest effect is a hundredth of a millimetre.
_SMALLEST = 1e-5
_FLIP_X = np.array([-1.0, 1.0, 1.0])


def pose_shapes(
    vertices: Float[ndarray, "V 3"],
    joints: Float[ndarray, "24 3"],
    weights: Float[ndarray, "V 24"],
    flip: Int[ndarray, " V"],
    rng: np.random.Generator,
) -> Float[ndarray, "V 3 207"]:
    """Fit the pose blend shapes of one body.

    Args:
        vertices: the body in the T-pose, metres, symmetric.
        joints: its joints, metres.
        weights: skinning weights, rows sum to one.
        flip: the vertex on the other side.
        rng: samples the rotations at which skinning is corrected.

    Returns:
        Metres per entry of (rotation − identity) of joints 1–23, entries row by row; exactly symmetric.
    """
    below = descendants(SMPL_PARENTS)
    shapes = np.zeros((len(vertices), 3, len(SMPL24), 3, 3))
    for index, name in enumerate(SMPL24):
        if index == 0 or name.startswith("right_"):
            continue
        share = weights[:, np.flatnonzero(below[index])].sum(axis=1)
        blended = np.flatnonzero((share > 1e-3) & (share < 1 - 1e-3))
        low, high = _RANGES_DEG[name.removeprefix("left_")]
        rotations = Rotation.from_rotvec(rng.uniform(low, high, (_SAMPLES, 3)), degrees=True)
        shapes[blended, :, index] = _fit(vertices[blended] - joints[index], share[blended], rotations)
    flipped = np.einsum("vikab,i,a,b->vikab", shapes[flip][:, :, SMPL24_FLIP], _FLIP_X, _FLIP_X, _FLIP_X)
    is_middle = np.array(SMPL24_FLIP) == np.arange(len(SMPL24))
    shapes = np.where(is_middle[:, None, None], (shapes + flipped) / 2, shapes + flipped)
    shapes[np.abs(shapes) < _SMALLEST] = 0.0
    return shapes[:, :, 1:].reshape(len(vertices), 3, -1)


def _fit(
    offsets: Float[ndarray, "P 3"], shares: Float[ndarray, " P"], rotations: Rotation
) -> Float[ndarray, "P 3 3 3"]:
    """Blend shapes by least squares over rotations, with errors measured after skinning.

    For a vertex at x from the joint, of which a share s of the weights rotates, skinning multiplies by the
    blended matrix B = (1 − s)·I + s·R and misses the target by (Rˢ − B)·x. So B · (shape · (R − I)) is fitted
    to `_FULLNESS` times that.
    """
    vectors = rotations.as_rotvec()
    matrices = rotations.as_matrix()
    features = (matrices - np.eye(3)).reshape(len(matrices), 9)
    fitted = np.empty((len(offsets), 27))
    for index, (offset, share) in enumerate(zip(offsets, shares, strict=True)):
        blend = (1 - share) * np.eye(3) + share * matrices
        wanted = _FULLNESS * (Rotation.from_rotvec(share * vectors).as_matrix() - blend)
        system = np.einsum("nij,nk->nijk", blend, features).reshape(-1, 27)
        normal = system.T @ system / len(matrices) + _RIDGE * np.eye(27)
        fitted[index] = np.linalg.solve(normal, system.T @ (wanted @ offset).reshape(-1) / len(matrices))
    return fitted.reshape(-1, 3, 3, 3)
