"""Kinematic chain and linear blend skinning as pure functions.

Rotations are of a joint relative to its parent; transforms take the T-pose to the posed body: x ↦ R x + t.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
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
        pose: axis-angle in radians (B, 72) or (B, 24, 3), zero in the T-pose; 6D rotations (B, 144) or
            (B, 24, 6); or matrices (B, 24, 3, 3), which are returned as they are.

    Raises:
        ValueError: the pose has another shape.
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
    """Coefficients of the pose blend shapes: rotation − identity of all joints but the root, row by row."""
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


def descendants(parents: Sequence[int]) -> Float[np.ndarray, "J J"]:
    """1 where the column's joint is the row's joint or one of its descendants, else 0."""
    matrix = np.eye(len(parents))
    for joint in range(len(parents)):
        ancestor = parents[joint]
        while ancestor >= 0:
            matrix[ancestor, joint] = 1
            ancestor = parents[ancestor]
    return matrix


def chain(
    rotations: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "B J 3"], parents: Sequence[int]
) -> Transforms:
    """Position and rotation of each joint of the posed body, one batched product for each level of the tree.

    Args:
        rotations: of each joint relative to its parent; the root's relative to the body's frame.
        joints: T-pose, metres.
        parents: of each joint, −1 for the root; a parent comes before its children.

    Returns:
        Rotation of each joint in the body's frame, and its posed position in metres.
    """
    levels = tree_levels(parents)
    world, positions = [rotations[:, levels[0]]], [joints[:, levels[0]]]
    for above, level in pairwise(levels):
        level_parents = [parents[joint] for joint in level]
        slots = [above.index(parent) for parent in level_parents]
        frame = world[-1][:, slots]
        bones = joints[:, level] - joints[:, level_parents]
        positions.append(positions[-1][:, slots] + (frame @ bones.unsqueeze(-1)).squeeze(-1))
        world.append(frame @ rotations[:, level])
    order = [joint for level in levels for joint in level]
    back = [order.index(joint) for joint in range(len(parents))]
    return Transforms(torch.cat(world, 1)[:, back], torch.cat(positions, 1)[:, back])


def from_rest(posed: Transforms, joints: Float[Tensor, "B J 3"]) -> Transforms:
    """The motions that take points of the T-pose that are fixed to a joint to their posed position."""
    moved = (posed.rotation @ joints.unsqueeze(-1)).squeeze(-1)
    return Transforms(posed.rotation, posed.translation - moved)


def blend_skin(
    points: Float[Tensor, "B V 3"], weights: Float[Tensor, "V J"], motions: Transforms
) -> Float[Tensor, "B V 3"]:
    """Points after the weighted mean of the joints' motions.

    Args:
        points: T-pose with shape and pose blend shapes, metres.
        weights: skinning weights; rows sum to one.
        motions: from the T-pose to the posed body (see `from_rest`).

    Source:
        SMPL (Loper et al. 2015), equations 2–4.
    """
    affine = torch.cat([motions.rotation, motions.translation.unsqueeze(-1)], dim=-1)
    blended = (weights @ affine.flatten(2)).unflatten(-1, (3, 4))  # (B, V, 3, 4)
    return (blended[..., :3] @ points.unsqueeze(-1)).squeeze(-1) + blended[..., 3]
