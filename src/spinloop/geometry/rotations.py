"""Rotations as axis-angle vectors, 3×3 matrices and the six numbers that networks regress.

All functions are batched, differentiable, and accurate at angles of 0 and π. roma has the first two as well
and the tests compare with it; it is not used because importing it loads PyTorch's compiler, which takes
longer than the work of most stages.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Squared angle (rad²) below which series stand for quotients of two small numbers; exact in double precision.
_SMALL = 1e-6
# v @ _SKEW is [v]ₓ row by row.
_SKEW = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0),
    (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of axis-angle vectors (radians); the zero vector is the identity.

    Source:
        Rodrigues: R = cos θ I + sin θ / θ [v]ₓ + (1 − cos θ) / θ² v vᵀ.
    """
    square = axis_angle.square().sum(-1)
    is_small = square < _SMALL
    angle = torch.where(is_small, 1.0, square).sqrt()
    sine = torch.where(is_small, 1 - square / 6, angle.sin() / angle)
    # 1 − cos θ as a difference would lose half of the digits.
    versine = torch.where(is_small, 0.5 - square / 24, 2 * ((angle / 2).sin() / angle).square())
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    cosine = (1 - versine * square)[..., None, None] * torch.eye(3, dtype=square.dtype, device=square.device)
    return cosine + sine[..., None, None] * cross + versine[..., None, None] * outer


def matrix_to_axis_angle(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis-angle vectors (radians, length in [0, π]) of rotation matrices; finite at 0 and π."""
    w, vector = _to_quaternion(matrix).split([1, 3], dim=-1)
    square = vector.square().sum(-1, keepdim=True)
    is_small = square < _SMALL
    sine = torch.where(is_small, 1.0, square).sqrt()
    return torch.where(is_small, 2 + square / 3, 2 * torch.atan2(sine, w) / sine) * vector


def rotation_and_left_jacobian(
    axis_angle: Float[Tensor, "*B 3"],
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3 3"]]:
    """Rotation matrices, and the left Jacobian J of SO(3): exp(v + δ) ≈ exp(J δ) exp(v).

    For solvers that need both in each iteration: they share their terms. The rotations agree with those of
    `axis_angle_to_matrix` within rounding, not to the last bit.

    Args:
        axis_angle: v, radians.
    """
    # The small number keeps the square root differentiable at zero; it rotates by 1e-8 rad at most.
    angle = (axis_angle.square().sum(-1, keepdim=True) + 1e-16).sqrt()
    sine = angle.sin() / angle
    half = 0.5 * ((0.5 * angle).sin() / (0.5 * angle)).square()
    third = (1 - sine) / angle.square()
    cross = skew(axis_angle).flatten(-2)
    outer = (axis_angle[..., :, None] * axis_angle[..., None, :]).flatten(-2)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device).flatten()
    rotation = angle.cos() * identity + sine * cross + half * outer
    jacobian = sine * identity + half * cross + third * outer
    return rotation.unflatten(-1, (3, 3)), jacobian.unflatten(-1, (3, 3))


def skew(vectors: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The matrices [v]ₓ, for which [v]ₓ w = v × w."""
    return (vectors @ vectors.new_tensor(_SKEW)).unflatten(-1, (3, 3))


def _to_quaternion(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    """Unit quaternions (w, x, y, z), w not negative.

    Four times the outer product of a quaternion with itself is linear in the matrix; its longest row is the
    most exact.
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = matrix.flatten(-2).unbind(-1)
    products = [
        [1 + xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx],
        [xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz],
        [yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz],
    ]
    rows = torch.stack([torch.stack(row, dim=-1) for row in products], dim=-2)
    longest = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    row = rows.take_along_dim(longest, dim=-2).squeeze(-2)
    row = torch.nn.functional.normalize(row, dim=-1)
    return torch.where(row[..., :1] < 0, -row, row)


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
