"""Posed joints without the mesh, exactly, and how they move with pose and shape.

Equal to skinning all vertices and regressing joints from them (see `body.moments`), at about a tenth of the
cost, and with a Jacobian in closed form. Joints are in the body's own frame, metres: no translation is added.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinloop.body.moments import BodyArrays, Moments, descendants, moments, source54_weights
from spinloop.body.skinning import tree_levels
from spinloop.joints import MODEL49_FROM_SOURCE54, SMPL_PARENTS

_PARENTS = list(SMPL_PARENTS)
# Bones by their depth in SMPL's tree, which numbers them in this order.
_LEVELS = tree_levels(SMPL_PARENTS)
# θ @ _CROSS is [θ]× row by row.
_CROSS = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0),
    (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)


class PosedPoints(NamedTuple):
    """Points of posed bodies, and what their derivatives are made of."""

    points: Float[Tensor, "B 3 P"]
    """Metres."""
    levers: Float[Tensor, "B 24 3 P"]
    """What hangs below each bone of each point, seen from the bone's joint: a turn ω of the bone moves the
    point by ω × lever."""
    turns: Float[Tensor, "B 24 3 3"]
    """The columns are the turns (radians, camera axes) that the bone's three pose numbers cause."""
    by_shape: Float[Tensor, "B 3 10 P"]
    """Change of each point with each shape coefficient."""


class JointsOnly(nn.Module):
    """Exact posed joints of an SMPL-format body, without its mesh."""

    offsets: Tensor
    blend: Tensor
    blend_index: Tensor
    root: Tensor
    mass: Tensor
    below: Tensor
    gather: Tensor
    shape_offsets: Tensor

    def __init__(
        self,
        body: BodyArrays,
        rows: str | Float[np.ndarray, "J V"] = "model49",
        dtype: torch.dtype = torch.float32,
        keep: Sequence[int] | None = None,
    ) -> None:
        """Sum the mesh up for one set of joints.

        Args:
            body: the body's arrays.
            rows: `"model49"`, `"h36m17"`, or a matrix that regresses joints from vertices.
            dtype: of the results; the sums are done in float64.
            keep: positions in `rows` of the joints that are wanted, all if not given.

        Raises:
            ValueError: `rows` is a name that is not known.
        """
        super().__init__()
        sums, gather = _sums(body, rows, keep)
        n_points = len(sums.mass)
        for name, array in (
            ("offsets", sums.offsets.reshape(11, -1)),
            ("blend", sums.blend.reshape(len(sums.blend), -1)),
            ("root", sums.root),
            ("mass", sums.mass),
            ("below", descendants()),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=dtype))
        pairs = (sums.blend_bone * 3 * n_points + sums.blend_point)[None] + np.arange(3)[:, None] * n_points
        self.register_buffer("blend_index", torch.tensor(pairs.reshape(-1)))
        self.register_buffer("gather", torch.tensor(gather))
        # For the change with shape: (bone, axis) × (coefficient, point), a constant matrix.
        by_shape = sums.offsets[1:].transpose(1, 2, 0, 3).reshape(72, -1)
        self.register_buffer("shape_offsets", torch.tensor(by_shape, dtype=dtype))

    @property
    def n_points(self) -> int:
        """How many distinct points the joints are read from."""
        return len(self.mass)

    def joints(
        self, pose: Float[Tensor, "B 72"] | Float[Tensor, "B 24 3 3"], betas: Float[Tensor, "B 10"]
    ) -> Float[Tensor, "B J 3"]:
        """Posed joints, metres; differentiable.

        Args:
            pose: axis-angle (radians) or rotation matrices of the 24 joints.
            betas: shape coefficients.
        """
        return self.points(pose, betas).transpose(1, 2)[:, self.gather]

    def points(
        self, pose: Float[Tensor, "B 72"] | Float[Tensor, "B 24 3 3"], betas: Float[Tensor, "B 10"]
    ) -> Float[Tensor, "B 3 P"]:
        """The distinct points that the joints are read from, metres; differentiable."""
        local = rotation_and_turn(pose.unflatten(-1, (24, 3)))[0] if pose.dim() == 2 else pose
        return self._arms(_global(local), local, betas).sum(1) + self._root(betas)

    def joints_and_jacobian(
        self, pose: Float[Tensor, "B 72"], betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B J 3"], Float[Tensor, "B J 3 82"]]:
        """Posed joints (metres) and their derivatives by the 72 pose numbers (radians), then the 10 betas.

        Args:
            pose: axis-angle of the 24 joints, radians.
            betas: shape coefficients.
        """
        posed = self.posed(pose, betas)
        # ω × lever for each column ω of `turns`.
        by_turn = torch.linalg.cross(
            posed.turns[:, :, :, :, None], posed.levers[:, :, :, None, :].expand(-1, -1, -1, 3, -1), dim=2
        )
        by_pose = by_turn.permute(0, 2, 1, 3, 4).flatten(2, 3) + self.blend_jacobian(pose)
        jacobian = torch.cat([by_pose, posed.by_shape], dim=2)  # (B, 3, 82, P)
        return posed.points.transpose(1, 2)[:, self.gather], jacobian.permute(0, 3, 1, 2)[:, self.gather]

    def posed(self, pose: Float[Tensor, "B 72"], betas: Float[Tensor, "B 10"]) -> PosedPoints:
        """Points and what their derivatives are made of, without the derivative of the pose blend shapes."""
        local, turn = rotation_and_turn(pose.unflatten(-1, (24, 3)))
        bones = _global(local)
        levers = (self.below @ self._arms(bones, local, betas).flatten(2)).unflatten(-1, (3, self.n_points))
        points = levers[:, 0] + self._root(betas)
        turns = torch.cat([turn[:, :1], bones[:, _PARENTS[1:]] @ turn[:, 1:]], dim=1)
        by_bones = bones.transpose(1, 2).flatten(2) @ self.shape_offsets
        by_root = self.root[1:].T[:, :, None] * self.mass
        return PosedPoints(points, levers, turns, by_bones.unflatten(-1, (10, self.n_points)) + by_root)

    def blend_jacobian(self, pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 3 72 P"]:
        """Change of the points with the pose through the pose blend shapes alone (zero for the root)."""
        local, turn = rotation_and_turn(pose.unflatten(-1, (24, 3)))
        bones = _global(local)
        # d R_k = [turn column]× R_k: (B, 23, 3 columns, 9 features)
        spin_of = pose.new_tensor(_CROSS)
        spin = (turn[:, 1:].transpose(-1, -2) @ spin_of).unflatten(-1, (3, 3)) @ local[:, 1:, None]
        blend = self.blend.unflatten(0, (23, 9))  # (23, 9, 3·N)
        moved = torch.einsum("bkcf,kfn->bkcn", spin.flatten(-2), blend)
        levers = moved.new_zeros(*moved.shape[:3], self.offsets.shape[1])
        levers = levers.index_add(-1, self.blend_index, moved).unflatten(-1, (24, 3, self.n_points))
        by_pose = torch.einsum("bxij,bkcxjp->bikcp", bones, levers).flatten(2, 3)
        return torch.cat([torch.zeros_like(by_pose[:, :, :3]), by_pose], dim=2)

    def root_joint(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3"]:
        """The root joint, metres; the pose does not move it."""
        return self.root[0] + betas @ self.root[1:]

    def _root(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3 P"]:
        return self.root_joint(betas)[:, :, None] * self.mass

    def _arms(
        self,
        bones: Float[Tensor, "B 24 3 3"],
        local: Float[Tensor, "B 24 3 3"],
        betas: Float[Tensor, "B 10"],
    ) -> Float[Tensor, "B 24 3 P"]:
        """Each bone's own share of each point, R_b ν_b."""
        offsets = torch.addmm(self.offsets[0], betas, self.offsets[1:])
        if len(self.blend_index):
            features = (local[:, 1:] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(1)
            offsets = offsets.index_add(1, self.blend_index, features @ self.blend)
        x, y, z = offsets.unflatten(-1, (24, 3, self.n_points)).unsqueeze(2).unbind(3)
        # A batched product of 3×3 matrices takes three times as long as this sum of three columns.
        (a, b, c) = bones.unsqueeze(-1).unbind(3)
        return torch.addcmul(torch.addcmul(a * x, b, y), c, z)


def rotation_and_turn(
    axis_angle: Float[Tensor, "*B 3"],
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3 3"]]:
    """Rotation matrices, and the turns that a change of each axis-angle number causes.

    The second is the left Jacobian of SO(3): exp(θ + δ) ≈ exp(turn δ) exp(θ). Both are smooth at zero.

    Args:
        axis_angle: radians.
    """
    # The small number keeps the square root differentiable at zero; it turns by 1e-8 rad at most.
    angle = (axis_angle.square().sum(-1, keepdim=True) + 1e-16).sqrt()
    sine = angle.sin() / angle
    half = 0.5 * ((0.5 * angle).sin() / (0.5 * angle)).square()
    third = (1 - sine) / angle.square()
    skew = axis_angle @ axis_angle.new_tensor(_CROSS)
    outer = (axis_angle[..., :, None] * axis_angle[..., None, :]).flatten(-2)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device).flatten()
    rotation = angle.cos() * identity + sine * skew + half * outer
    turn = sine * identity + half * skew + third * outer
    return rotation.unflatten(-1, (3, 3)), turn.unflatten(-1, (3, 3))


def _global(local: Float[Tensor, "B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
    """Rotations of the bones in camera axes, one level of the tree at a time."""
    levels = [local[:, :1]]
    for above, level in pairwise(_LEVELS):
        parents = [_PARENTS[bone] - above[0] for bone in level]
        levels.append(levels[-1][:, parents] @ local[:, level[0] : level[-1] + 1])
    return torch.cat(levels, dim=1)


def _sums(
    body: BodyArrays, rows: str | Float[np.ndarray, "J V"], keep: Sequence[int] | None
) -> tuple[Moments, list[int]]:
    """The sums over the mesh for the distinct points of the wanted rows, and each joint's point."""
    if isinstance(rows, str) and rows == "model49":
        on_joints, on_vertices = source54_weights(body.J_regressor_extra)
        sources = list(MODEL49_FROM_SOURCE54)
    elif isinstance(rows, str) and rows != "h36m17":
        raise ValueError(f"rows must be 'model49', 'h36m17' or a matrix, got {rows!r}")
    else:
        on_vertices = body.J_regressor_h36m if isinstance(rows, str) else rows
        on_joints, sources = np.zeros((len(on_vertices), 24)), list(range(len(on_vertices)))
    wanted = sources if keep is None else [sources[joint] for joint in keep]
    points = sorted(set(wanted))  # fifteen of the 49 joints are the same point as another
    return moments(body, on_joints[points], on_vertices[points]), [points.index(source) for source in wanted]
