"""What varies in a population: mean and principal directions in units of a standard deviation.

Pose blend shapes that keep limbs round where plain skinning would let them collapse.

Linear blend skinning averages matrices: a vertex that belongs half to each of two bones is drawn towards the
joint as they bend. Turning the vertex about the joint by its share of the angle instead keeps its distance
(for one joint this is dual quaternion skinning). The offset between the two, seen in the rest pose, is fitted
for each joint as a linear function of its rotation matrix, which is the form that SMPL's files have room for.

Source: Loper et al., SMPL (2015), for the form; Kavan et al., Geometric skinning with approximate dual
quaternion blending (2008), for the target.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from spinloop.joints import SMPL24, SMPL24_FLIP, SMPL_PARENTS


class ShapeSpace(NamedTuple):
    """body(β) = mean + Σ β_k · directions[..., k], β_k of unit variance in the population."""

    mean: Float[ndarray, "V 3"]
    directions: Float[ndarray, "V 3 K"]
    """Metres per standard deviation."""
    variance_share: Float[ndarray, " K"]
    """Share of the population's whole variance that each direction explains."""


def principal_shapes(
    vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"], n_directions: int
) -> ShapeSpace:
    """Principal components, largest first.

    The sign is a rule, so that two builds agree: the first direction makes the body taller, every other one
    makes it larger in volume.
    """
    mean = vertices.mean(axis=0)
    centered = (vertices - mean).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(centered @ centered.T / (len(vertices) - 1))
    order = np.argsort(values)[::-1][:n_directions]
    # Unit eigenvector u of the Gram matrix with value λ: direction × its deviation = Xᵀu / √(N−1).
    scaled = (centered.T @ vectors[:, order]) / np.sqrt(len(vertices) - 1)
    directions = scaled.reshape(*mean.shape, n_directions)
    return ShapeSpace(mean, directions * _signs(mean, directions, faces), values[order] / values.sum())


def like(space: ShapeSpace, model: ShapeSpace) -> ShapeSpace:
    """Reorder and sign the directions so that each resembles the same-numbered one of `model`."""
    mine = space.directions.reshape(-1, space.directions.shape[-1])
    theirs = model.directions.reshape(-1, model.directions.shape[-1])
    cosine = (mine / np.linalg.norm(mine, axis=0)).T @ (theirs / np.linalg.norm(theirs, axis=0))
    rows, columns = linear_sum_assignment(-np.abs(cosine))
    order = rows[np.argsort(columns)]
    signs = np.sign(cosine[order, np.arange(len(order))])
    return ShapeSpace(space.mean, space.directions[..., order] * signs, space.variance_share[order])


def volume(vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, " N"]:
    """Volume of closed meshes, cubic metres."""
    first, second, third = (vertices[:, faces[:, corner]] for corner in range(3))
    return (np.cross(first, second) * third).sum(axis=(1, 2)) / 6


def _signs(
    mean: Float[ndarray, "V 3"], directions: Float[ndarray, "V 3 K"], faces: Int[ndarray, "F 3"]
) -> Float[ndarray, " K"]:
    moved = np.moveaxis(directions, -1, 0)
    gain = volume(mean + moved, faces) - volume(mean - moved, faces)
    gain[0] = moved[0, mean[:, 1].argmax(), 1] - moved[0, mean[:, 1].argmin(), 1]
    return np.where(gain < 0, -1.0, 1.0)


# How far the joints of the left side and the middle turn: lowest and highest rotation vector, degrees. In the
# T-pose the left arm lies along +x, so its elbow bends about −y.
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
# Between plain skinning (0), which loses volume, and turning about the joint (1), which bulges on the
# outside.
_FULLNESS = 0.7
# Holds back offsets that the sampled rotations do not ask for, metres per unit of a matrix entry.
_RIDGE = 1e-3
# Smaller entries are left out: their largest effect is a hundredth of a millimetre.
_SMALLEST = 1e-5
_MIRROR = np.array([-1.0, 1.0, 1.0])


def pose_shapes(
    vertices: Float[ndarray, "V 3"],
    joints: Float[ndarray, "24 3"],
    weights: Float[ndarray, "V 24"],
    mirror: Int[ndarray, " V"],
    rng: np.random.Generator,
) -> Float[ndarray, "V 3 207"]:
    """Fit the pose blend shapes of one body.

    Args:
        vertices: the body at rest, metres, its own mirror image.
        joints: its joints, metres.
        weights: skinning weights, rows sum to one.
        mirror: the vertex on the other side.
        rng: draws the rotations at which skinning is corrected.

    Returns:
        Metres per entry of (rotation − identity) of joints 1–23, entries row by row; exactly symmetric.
    """
    shapes = np.zeros((len(vertices), 3, len(SMPL24), 3, 3))
    for index, name in enumerate(SMPL24):
        if index == 0 or name.startswith("right_"):
            continue
        share = weights[:, _carried_by(index)].sum(axis=1)
        blended = np.flatnonzero((share > 1e-3) & (share < 1 - 1e-3))
        low, high = _RANGES_DEG[name.removeprefix("left_")]
        turns = Rotation.from_rotvec(rng.uniform(low, high, (_SAMPLES, 3)), degrees=True)
        shapes[blended, :, index] = _fit(vertices[blended] - joints[index], share[blended], turns)
    mirrored = np.einsum("vikab,i,a,b->vikab", shapes[mirror][:, :, SMPL24_FLIP], _MIRROR, _MIRROR, _MIRROR)
    is_middle = np.array(SMPL24_FLIP) == np.arange(len(SMPL24))
    shapes = np.where(is_middle[:, None, None], (shapes + mirrored) / 2, shapes + mirrored)
    shapes[np.abs(shapes) < _SMALLEST] = 0.0
    return shapes[:, :, 1:].reshape(len(vertices), 3, -1)


def _carried_by(joint: int) -> Sequence[int]:
    """The joint and all below it in the tree."""
    carried = {joint}
    for child, parent in enumerate(SMPL_PARENTS):
        if parent in carried:
            carried.add(child)
    return sorted(carried)


def _fit(
    arms: Float[ndarray, "P 3"], share: Float[ndarray, " P"], turns: Rotation
) -> Float[ndarray, "P 3 3 3"]:
    """Least squares over rotations, errors counted where they show: after skinning.

    Skinning turns a rest-pose offset by the blended matrix B = (1 − s)·I + s·R, and misses the wanted place
    of a vertex at x from the joint by (Rˢ − B)·x. So B · (shape · (R − I)) shall be a good part of (Rˢ −
    B)·x.
    """
    vectors = turns.as_rotvec()
    matrices = turns.as_matrix()
    features = (matrices - np.eye(3)).reshape(len(matrices), 9)
    fitted = np.empty((len(arms), 27))
    for index, (arm, part) in enumerate(zip(arms, share, strict=True)):
        blend = (1 - part) * np.eye(3) + part * matrices
        wanted = _FULLNESS * (Rotation.from_rotvec(part * vectors).as_matrix() - blend)
        system = np.einsum("nij,nk->nijk", blend, features).reshape(-1, 27)
        normal = system.T @ system / len(matrices) + _RIDGE * np.eye(27)
        fitted[index] = np.linalg.solve(normal, system.T @ (wanted @ arm).reshape(-1) / len(matrices))
    return fitted.reshape(-1, 3, 3, 3)
