"""Rotations as axis-angle vectors, 3×3 matrices and the six numbers that networks regress.

All are differentiable, batched, and right at no rotation and at half a turn. roma has the first two as well,
and the tests compare with it. It is not used here because importing it loads PyTorch's compiler, which takes
longer than the work of most stages.

Similarity alignment of point sets (Procrustes analysis), reflections excluded.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Squared angle (rad²) below which series stand for quotients of two small numbers; exact in double precision.
_SMALL = 1e-6


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


class Similarity(NamedTuple):
    """x ↦ scale · rotation · x + translation, one per sample."""

    rotation: Float[np.ndarray, "N 3 3"]
    scale: Float[np.ndarray, " N"]
    translation: Float[np.ndarray, "N 3"]

    def apply(self, points: Float[np.ndarray, "N J 3"]) -> Float[np.ndarray, "N J 3"]:
        """Move points of each sample."""
        turned = np.einsum("nij,nkj->nki", self.rotation, points)
        return self.scale[:, None, None] * turned + self.translation[:, None]


def similarity(source: Float[np.ndarray, "N J 3"], target: Float[np.ndarray, "N J 3"]) -> Similarity:
    """The similarity that brings each source nearest to its target in least squares.

    A source whose points coincide cannot be scaled; it is only moved onto the target's mean.

    Source:
        Umeyama 1991; SPIN's `utils/pose_utils.py` gives the same result for non-degenerate input.
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    source_mean, target_mean = source.mean(1), target.mean(1)
    centered, wanted = source - source_mean[:, None], target - target_mean[:, None]
    left, singular, right = np.linalg.svd(np.einsum("nki,nkj->nij", wanted, centered))
    signs = np.ones_like(singular)
    signs[:, -1] = np.sign(np.linalg.det(left @ right))
    rotation = (left * signs[:, None]) @ right
    spread = (centered**2).sum((1, 2))
    flat = spread < np.finfo(np.float64).tiny
    scale = np.where(flat, 1.0, (singular * signs).sum(-1) / np.where(flat, 1.0, spread))
    translation = target_mean - scale[:, None] * np.einsum("nij,nj->ni", rotation, source_mean)
    return Similarity(rotation, scale, translation)


def align(
    source: Float[np.ndarray, "N J 3"], target: Float[np.ndarray, "N J 3"]
) -> Float[np.ndarray, "N J 3"]:
    """Each source after the similarity that brings it nearest to its target; float64."""
    return similarity(source, target).apply(source.astype(np.float64))
