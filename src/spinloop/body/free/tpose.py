"""From Anny's rest pose to SMPL's T-pose, with Anny's own bones and skinning weights.

Each body is posed by its own bones, so that in every one the arms lie along x, elbows straight, palms down,
and the feet stand as they stood. The legs are turned as a whole: the line from hip to ankle is upright seen
from the side and leans outward a little seen from the front; the knee keeps Anny's slight bend.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from spinloop.body.free.source import RestBodies, Source

# How MakeHuman's authors share the raising of an arm to its T-pose (their t-pose of this rig), degrees.
_CLAVICLE_DEG = 10.0
_SHOULDER_BLADE_DEG = 8.0
# Outward lean of the line from hip to ankle, degrees: feet a little wider than hips.
_LEG_LEAN_DEG = 2.0

_MIRROR = np.diag([-1.0, 1.0, 1.0])


def to_tpose(source: Source, bodies: RestBodies) -> RestBodies:
    """Pose bodies; the pelvis of each comes to the origin.

    Args:
        source: bones and weights.
        bodies: rest bodies of `source`, symmetric.

    Returns:
        The same bodies in the T-pose: skinned vertices and posed bone heads, metres.
    """
    rotations = _world_rotations(source, bodies.heads)
    heads = _posed_heads(source, bodies.heads, rotations)
    offsets = heads - np.einsum("nbij,nbj->nbi", rotations, bodies.heads)
    vertices = np.empty_like(bodies.vertices)
    for index, rest in enumerate(bodies.vertices):
        blended = np.tensordot(source.weights, rotations[index], 1)
        vertices[index] = np.einsum("vij,vj->vi", blended, rest) + source.weights @ offsets[index]
    pelvis = heads[:, :1]
    return RestBodies(vertices - pelvis, heads - pelvis, bodies.phenotypes)


def _world_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> Float[ndarray, "N B 3 3"]:
    """What turns each bone from rest to T-pose, in the body's frame; a bone not named follows its parent."""
    left = _arm_rotations(source, heads) | _leg_rotations(source, heads)
    identity = np.broadcast_to(np.eye(3), (len(heads), 3, 3))
    turned: list[Float[ndarray, "N 3 3"]] = []
    for name, parent in zip(source.bones, source.bone_parents, strict=True):
        twin = name.removesuffix(".R") + ".L"
        if name in left:
            turned.append(left[name])
        elif name.endswith(".R") and twin in left:
            turned.append(_MIRROR @ left[twin] @ _MIRROR)
        else:
            turned.append(turned[parent] if parent >= 0 else identity)
    return np.stack(turned, axis=1)


def _arm_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left arm: straight along +x, elbow opening forward, palm down, thumb forward."""

    def between(first: str, second: str) -> Float[ndarray, "N 3"]:
        return heads[:, source.bone(second)] - heads[:, source.bone(first)]

    upper, fore = between("upperarm01.L", "lowerarm01.L"), between("lowerarm01.L", "wrist.L")
    hinge = np.cross(upper, fore)
    hand, thumb_side = between("wrist.L", "finger3-1.L"), between("finger5-1.L", "finger2-1.L")
    along, down, forward = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
    wrist = _turn(hand, thumb_side, along, forward)
    elbow = _turn(fore, hinge, along, down)
    return {
        "clavicle.L": np.broadcast_to(_about_z(_CLAVICLE_DEG), (len(heads), 3, 3)),
        "shoulder01.L": np.broadcast_to(_about_z(_CLAVICLE_DEG + _SHOULDER_BLADE_DEG), (len(heads), 3, 3)),
        "upperarm01.L": _turn(upper, hinge, along, down),
        "lowerarm01.L": elbow,
        "lowerarm02.L": _half_twist(elbow, wrist) @ elbow,
        "wrist.L": wrist,
    }


def _leg_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left leg: one turn at the hip makes hip→ankle upright; the foot stays as it stood."""
    line = heads[:, source.bone("foot.L")] - heads[:, source.bone("upperleg01.L")]
    lean = np.deg2rad(_LEG_LEAN_DEG)
    target = np.array([np.sin(lean), -np.cos(lean), 0.0])
    forward = np.array([0.0, 0.0, 1.0])
    leg = _turn(line, np.broadcast_to(forward, line.shape), target, forward)
    return {"upperleg01.L": leg, "foot.L": np.broadcast_to(np.eye(3), leg.shape)}


def _turn(
    first: Float[ndarray, "N 3"],
    second: Float[ndarray, "N 3"],
    to_first: Float[ndarray, " 3"],
    to_second: Float[ndarray, " 3"],
) -> Float[ndarray, "N 3 3"]:
    """The rotation that brings `first` onto `to_first` and `second`, as far as it can, onto `to_second`."""
    target = _frame(np.broadcast_to(to_first, first.shape), np.broadcast_to(to_second, first.shape))
    return target @ np.swapaxes(_frame(first, second), 1, 2)


def _frame(first: Float[ndarray, "N 3"], second: Float[ndarray, "N 3"]) -> Float[ndarray, "N 3 3"]:
    """Columns: `first`, the part of `second` square to it, their cross product; all of unit length."""
    x = first / np.linalg.norm(first, axis=1, keepdims=True)
    y = second - (second * x).sum(axis=1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=2)


def _half_twist(start: Float[ndarray, "N 3 3"], end: Float[ndarray, "N 3 3"]) -> Float[ndarray, "N 3 3"]:
    """Half of the turn about x that takes the forearm's frame towards the hand's."""
    quaternion = Rotation.from_matrix(end @ np.swapaxes(start, 1, 2)).as_quat()
    twist = 2 * np.arctan2(quaternion[:, 0], quaternion[:, 3])
    twist = (twist + np.pi) % (2 * np.pi) - np.pi
    return Rotation.from_euler("x", twist[:, None] / 2).as_matrix()


def _about_z(angle_deg: float) -> Float[ndarray, "3 3"]:
    return Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()


def _posed_heads(
    source: Source, heads: Float[ndarray, "N B 3"], rotations: Float[ndarray, "N B 3 3"]
) -> Float[ndarray, "N B 3"]:
    posed = heads.copy()
    for bone, parent in enumerate(source.bone_parents):
        if parent >= 0:
            offset = heads[:, bone] - heads[:, parent]
            posed[:, bone] = posed[:, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
    return posed
