"""Rotations as axis-angle vectors, 3×3 matrices and the six numbers that networks regress.

The conversions are roma's, which are differentiable and defined at 0 and at π; only the order of the six
numbers is ours to fix: SPIN's, interleaved (r00, r01, r10, r11, r20, r21), not one column after the other.
"""

import roma
import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of axis-angle vectors (radians); the zero vector is the identity."""
    return roma.rotvec_to_rotmat(axis_angle)


def matrix_to_axis_angle(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis-angle vectors (radians, length in [0, π]) of rotation matrices; finite at 0 and π."""
    return roma.rotmat_to_rotvec(matrix)


def rot6d_to_matrix(six: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of the six interleaved entries of their first two columns, orthonormalised.

    Source:
        Zhou et al., On the Continuity of Rotation Representations; SPIN sec. 3.2.
    """
    columns = six.unflatten(-1, (3, 2))
    first = torch.nn.functional.normalize(columns[..., 0], dim=-1)
    second = columns[..., 1] - (first * columns[..., 1]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.linalg.cross(first, second, dim=-1)
    return torch.stack([first, second, third], dim=-1)


def matrix_to_rot6d(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 6"]:
    """The first two columns of each matrix, interleaved row by row."""
    return matrix[..., :2].flatten(-2)


def rotation_about_z(angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation by `angle` (radians) about +z, which takes +x towards +y (clockwise on an image)."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
