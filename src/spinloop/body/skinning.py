"""Kinematic chain and linear blend skinning as pure functions.

Rotations are of a joint against its parent; transforms take the T-pose to the posed body: x ↦ R x + t.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.geometry.rotations import axis_angle_to_matrix, rot6d_to_matrix


class Transforms(NamedTuple):
    """Rigid motions of the joints, in the body's frame."""

    rotation: Float[Tensor, "B J 3 3"]
    translation: Float[Tensor, "B J 3"]


def pose_to_matrices(pose: Float[Tensor, "B ..."]) -> Float[Tensor, "B J 3 3"]:
    """Rotation matrices of a pose in any of its forms.

    Args:
        pose: axis-angle in radians (B, 72) or (B, 24, 3); six numbers as networks regress them (B, 144) or
            (B, 24, 6); or matrices (B, 24, 3, 3), which are returned as they are. Zero axis-angle is the
            T-pose.

    Raises:
        ValueError: the shape is none of these.
    """
    shape = tuple(pose.shape[1:])
    if shape == (24, 3, 3):
        return pose
    if shape in ((72,), (24, 3)):
        return axis_angle_to_matrix(pose.reshape(-1, 24, 3))
    if shape in ((144,), (24, 6)):
        return rot6d_to_matrix(pose.reshape(-1, 24, 6))
    raise ValueError(f"a pose has shape (B, 72), (B, 144) or (B, 24, 3, 3), not {tuple(pose.shape)}")


def pose_features(rotations: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B P"]:
    """What pose blend shapes multiply: rotation − identity of all joints but the root, row by row."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).flatten(1)


def tree_levels(parents: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Joints grouped by their distance from the root, each group in ascending order."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return tuple(
        tuple(joint for joint, d in enumerate(depth) if d == level) for level in range(max(depth) + 1)
    )


def chain(
    rotations: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "B J 3"], parents: Sequence[int]
) -> Transforms:
    """Where each joint stands and how it is turned.

    One batched product for each level of the tree instead of one for each joint.

    Args:
        rotations: of each joint against its parent; the root's against the world.
        joints: T-pose, metres.
        parents: of each joint, −1 for the root; a parent comes before its children.

    Returns:
        Rotation of each joint against the world, and its posed position in metres.
    """
    levels = tree_levels(parents)
    turned, placed = [rotations[:, levels[0]]], [joints[:, levels[0]]]
    for above, level in pairwise(levels):
        mothers = [parents[joint] for joint in level]
        slots = [above.index(mother) for mother in mothers]
        frame = turned[-1][:, slots]
        bones = joints[:, level] - joints[:, mothers]
        placed.append(placed[-1][:, slots] + (frame @ bones.unsqueeze(-1)).squeeze(-1))
        turned.append(frame @ rotations[:, level])
    order = [joint for level in levels for joint in level]
    back = [order.index(joint) for joint in range(len(parents))]
    return Transforms(torch.cat(turned, 1)[:, back], torch.cat(placed, 1)[:, back])


def from_rest(posed: Transforms, joints: Float[Tensor, "B J 3"]) -> Transforms:
    """The motions that take points of the T-pose, fixed to a joint, to their posed place."""
    moved = (posed.rotation @ joints.unsqueeze(-1)).squeeze(-1)
    return Transforms(posed.rotation, posed.translation - moved)


def blend_skin(
    points: Float[Tensor, "B V 3"], weights: Float[Tensor, "V J"], motions: Transforms
) -> Float[Tensor, "B V 3"]:
    """Points moved by the weighted mean of the joints' motions.

    Args:
        points: T-pose with shape and pose blend shapes, metres.
        weights: share of each joint in a point's motion; rows sum to one.
        motions: from the T-pose to the posed body (see `from_rest`).

    Source:
        SMPL (Loper et al. 2015), equations 2–4.
    """
    affine = torch.cat([motions.rotation, motions.translation.unsqueeze(-1)], dim=-1)
    blended = (weights @ affine.flatten(2)).unflatten(-1, (3, 4))  # (B, V, 3, 4)
    return (blended[..., :3] @ points.unsqueeze(-1)).squeeze(-1) + blended[..., 3]
