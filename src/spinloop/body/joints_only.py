"""Posed joints of a body without its mesh, exactly, and their Jacobian in closed form.

The result equals skinning all vertices and regressing joints from them, at about a tenth of the cost. Joints
are in the body's own frame, metres: no translation is added.

A joint regressed from posed vertices is j = Σ_v w_v Σ_b s_vb G_b [x_v(β, f); 1], where s are the skinning
weights, G_b the rigid motions of the bones, and the unposed vertex x_v is affine in the shape β and in the
pose features f = R_1..23 − I. The sum over v does not depend on the pose and is computed once. With bone
offsets folded in as well,

    j = m J_root(β) + Σ_b R_b ν_b(β, f),

where R_b is the rotation of the bone in camera axes and ν_b a 3-vector that is affine in β and f.

Source: linear blend skinning as in Loper et al., SMPL (2015).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinloop.body.files import N_JOINTS, N_SHAPE, BodyFile
from spinloop.body.skinning import descendants, tree_levels
from spinloop.geometry.rotations import rotation_and_left_jacobian, skew
from spinloop.joints import MODEL49_FROM_SOURCE54, SMPL_PARENTS, VERTEX_JOINTS

_PARENTS = list(SMPL_PARENTS)
# Bones by their depth in SMPL's tree, which numbers them in this order.
_LEVELS = tree_levels(SMPL_PARENTS)


class LinearizedPoints(NamedTuple):
    """The distinct points that joints are read from, and the factors of their Jacobian."""

    points: Float[Tensor, "B 3 P"]
    """Metres."""
    levers: Float[Tensor, "B 24 3 P"]
    """Lever arm of each point about the joint of each bone: rotating the bone by ω moves the point by
    ω × lever."""
    left_jacobian: Float[Tensor, "B 24 3 3"]
    """Columns: rotation of the bone (radians, camera axes) per radian of each of its three pose numbers."""
    by_shape: Float[Tensor, "B 3 10 P"]
    """Derivative of each point by each shape coefficient."""


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
        body: BodyFile,
        rows: str | Float[np.ndarray, "J V"] = "model49",
        dtype: torch.dtype = torch.float32,
        keep: Sequence[int] | None = None,
    ) -> None:
        """Sum over the mesh for one set of joints.

        Args:
            body: the body.
            rows: `"model49"`, `"h36m17"`, or a matrix that regresses joints from vertices.
            dtype: of the results; the sums are computed in float64.
            keep: positions in `rows` of the wanted joints; all by default.

        Raises:
            ValueError: `rows` is an unknown name.
        """
        super().__init__()
        sums, gather = _sums(body, rows, keep)
        n_points = len(sums.mass)
        for name, array in (
            ("offsets", sums.offsets.reshape(11, -1)),
            ("blend", sums.blend.reshape(len(sums.blend), -1)),
            ("root", sums.root),
            ("mass", sums.mass),
            ("below", descendants(SMPL_PARENTS)),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=dtype))
        pairs = (sums.blend_bone * 3 * n_points + sums.blend_point)[None] + np.arange(3)[:, None] * n_points
        self.register_buffer("blend_index", torch.tensor(pairs.reshape(-1)))
        self.register_buffer("gather", torch.tensor(gather))
        # For the derivative by shape: (bone, axis) × (coefficient, point), a constant matrix.
        by_shape = sums.offsets[1:].transpose(1, 2, 0, 3).reshape(72, -1)
        self.register_buffer("shape_offsets", torch.tensor(by_shape, dtype=dtype))

    @property
    def n_points(self) -> int:
        """Number of distinct points that the joints are read from."""
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
        local = rotation_and_left_jacobian(pose.unflatten(-1, (24, 3)))[0] if pose.dim() == 2 else pose
        return self._shares(_global(local), local, betas).sum(1) + self._root(betas)

    def joints_and_jacobian(
        self, pose: Float[Tensor, "B 72"], betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B J 3"], Float[Tensor, "B J 3 82"]]:
        """Posed joints (metres) and their derivatives by the 72 pose numbers (radians), then the 10 betas.

        Args:
            pose: axis-angle of the 24 joints, radians.
            betas: shape coefficients.
        """
        posed = self.linearized(pose, betas)
        # ω × lever for each column ω of the left Jacobian.
        columns = posed.left_jacobian[:, :, :, :, None]
        by_rotation = torch.linalg.cross(
            columns, posed.levers[:, :, :, None, :].expand(-1, -1, -1, 3, -1), dim=2
        )
        by_pose = by_rotation.permute(0, 2, 1, 3, 4).flatten(2, 3) + self.blend_jacobian(pose)
        jacobian = torch.cat([by_pose, posed.by_shape], dim=2)  # (B, 3, 82, P)
        return posed.points.transpose(1, 2)[:, self.gather], jacobian.permute(0, 3, 1, 2)[:, self.gather]

    def linearized(self, pose: Float[Tensor, "B 72"], betas: Float[Tensor, "B 10"]) -> LinearizedPoints:
        """Points and the factors of their Jacobian, without the derivative of the pose blend shapes."""
        local, jacobian = rotation_and_left_jacobian(pose.unflatten(-1, (24, 3)))
        bones = _global(local)
        levers = (self.below @ self._shares(bones, local, betas).flatten(2)).unflatten(-1, (3, self.n_points))
        points = levers[:, 0] + self._root(betas)
        jacobian = torch.cat([jacobian[:, :1], bones[:, _PARENTS[1:]] @ jacobian[:, 1:]], dim=1)
        by_bones = bones.transpose(1, 2).flatten(2) @ self.shape_offsets
        by_root = self.root[1:].T[:, :, None] * self.mass
        by_shape = by_bones.unflatten(-1, (10, self.n_points)) + by_root
        return LinearizedPoints(points, levers, jacobian, by_shape)

    def blend_jacobian(self, pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 3 72 P"]:
        """Derivative of the points by the pose through the pose blend shapes alone (zero for the root)."""
        local, jacobian = rotation_and_left_jacobian(pose.unflatten(-1, (24, 3)))
        bones = _global(local)
        # d R_k = [column of the left Jacobian]ₓ R_k: (B, 23, 3 columns, 3, 3)
        derivative = skew(jacobian[:, 1:].transpose(-1, -2)) @ local[:, 1:, None]
        blend = self.blend.unflatten(0, (23, 9))  # (23, 9, 3·N)
        moved = torch.einsum("bkcf,kfn->bkcn", derivative.flatten(-2), blend)
        levers = moved.new_zeros(*moved.shape[:3], self.offsets.shape[1])
        levers = levers.index_add(-1, self.blend_index, moved).unflatten(-1, (24, 3, self.n_points))
        by_pose = torch.einsum("bxij,bkcxjp->bikcp", bones, levers).flatten(2, 3)
        return torch.cat([torch.zeros_like(by_pose[:, :, :3]), by_pose], dim=2)

    def root_joint(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3"]:
        """The root joint, metres; it does not depend on the pose."""
        return self.root[0] + betas @ self.root[1:]

    def _root(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3 P"]:
        return self.root_joint(betas)[:, :, None] * self.mass

    def _shares(
        self,
        bones: Float[Tensor, "B 24 3 3"],
        local: Float[Tensor, "B 24 3 3"],
        betas: Float[Tensor, "B 10"],
    ) -> Float[Tensor, "B 24 3 P"]:
        """Share of each bone in each point, R_b ν_b."""
        offsets = torch.addmm(self.offsets[0], betas, self.offsets[1:])
        if len(self.blend_index):
            features = (local[:, 1:] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(1)
            offsets = offsets.index_add(1, self.blend_index, features @ self.blend)
        x, y, z = offsets.unflatten(-1, (24, 3, self.n_points)).unsqueeze(2).unbind(3)
        # A batched product of 3×3 matrices takes three times as long as this sum of three columns.
        (a, b, c) = bones.unsqueeze(-1).unbind(3)
        return torch.addcmul(torch.addcmul(a * x, b, y), c, z)


class _Moments(NamedTuple):
    """The sums over the mesh for P points, float64, metres."""

    offsets: Float[np.ndarray, "11 24 3 P"]
    """ν per bone and point: constant part, then its derivative by each shape coefficient."""
    blend: Float[np.ndarray, "207 3 N"]
    """Derivative of ν by the pose features, for the (bone, point) pairs where it is not zero."""
    blend_bone: Int[np.ndarray, " N"]
    """Bone of each such pair, ascending."""
    blend_point: Int[np.ndarray, " N"]
    """Point of each such pair."""
    root: Float[np.ndarray, "11 3"]
    """Rest position of the root joint: constant part, then its derivative by each shape coefficient."""
    mass: Float[np.ndarray, " P"]
    """Sum of each point's weights, 1 for a proper regressor."""


def _moments(
    body: BodyFile, on_joints: Float[np.ndarray, "P 24"], on_vertices: Float[np.ndarray, "P V"]
) -> _Moments:
    """Sums over the mesh for points that are weighted means of posed skeleton joints and posed vertices.

    Args:
        body: the body.
        on_joints: weights of the 24 joints of the skeleton.
        on_vertices: weights of the vertices.
    """
    used = np.flatnonzero(np.any(on_vertices != 0, axis=0))
    share = np.einsum("pv,vb->bpv", on_vertices[:, used], body.weights[used].astype(np.float64))
    affine = np.concatenate([body.v_template[..., None], body.shapedirs[..., :N_SHAPE]], -1, dtype=np.float64)
    rest = np.tensordot(body.J_regressor.astype(np.float64), affine, 1)  # (24, 3, 11)
    carried = share.sum(-1) + on_joints.T  # (24, P): weight of each bone in each point
    # Moments about the bone's own joint; skeleton joints lie on it and have none.
    own = np.tensordot(share, affine[used], 1) - share.sum(-1)[..., None, None] * rest[:, None]

    below = descendants(SMPL_PARENTS) @ carried  # (24, P): weight of each bone and its descendants
    for bone, parent in list(enumerate(SMPL_PARENTS))[1:]:
        own[parent] += below[bone][:, None, None] * (rest[bone] - rest[parent])
    blend = np.tensordot(share, body.posedirs[used].astype(np.float64), 1)  # (24, P, 3, 207)
    bone, point = np.nonzero(np.any(blend != 0, axis=(2, 3)))
    return _Moments(
        offsets=own.transpose(3, 0, 2, 1),
        blend=blend[bone, point].transpose(2, 1, 0),
        blend_bone=bone,
        blend_point=point,
        root=rest[0].T,
        mass=below[0],
    )


def _source54_weights(
    extra: Float[np.ndarray, "9 V"],
) -> tuple[Float[np.ndarray, "54 24"], Float[np.ndarray, "54 V"]]:
    """Weights of skeleton joints and of vertices in the 54 joints that the 49 are gathered from.

    Args:
        extra: regressor of `joints.EXTRA9`.
    """
    n_vertices = extra.shape[1]
    vertices = np.zeros((len(VERTEX_JOINTS), n_vertices))
    vertices[np.arange(len(VERTEX_JOINTS)), list(VERTEX_JOINTS.values())] = 1
    on_vertices = np.concatenate([np.zeros((N_JOINTS, n_vertices)), vertices, extra])
    on_joints = np.zeros((len(on_vertices), N_JOINTS))
    on_joints[:N_JOINTS] = np.eye(N_JOINTS)
    return on_joints, on_vertices


def _global(local: Float[Tensor, "B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
    """Rotations of the bones in camera axes, one level of the tree at a time."""
    levels = [local[:, :1]]
    for above, level in pairwise(_LEVELS):
        parents = [_PARENTS[bone] - above[0] for bone in level]
        levels.append(levels[-1][:, parents] @ local[:, level[0] : level[-1] + 1])
    return torch.cat(levels, dim=1)


def _sums(
    body: BodyFile, rows: str | Float[np.ndarray, "J V"], keep: Sequence[int] | None
) -> tuple[_Moments, list[int]]:
    """The sums for the distinct points of the wanted rows, and the index of the point of each joint."""
    if isinstance(rows, str) and rows == "model49":
        on_joints, on_vertices = _source54_weights(body.J_regressor_extra)
        sources = list(MODEL49_FROM_SOURCE54)
    elif isinstance(rows, str) and rows != "h36m17":
        raise ValueError(f"rows must be 'model49', 'h36m17' or a matrix, got {rows!r}")
    else:
        on_vertices = body.J_regressor_h36m if isinstance(rows, str) else rows
        on_joints, sources = np.zeros((len(on_vertices), N_JOINTS)), list(range(len(on_vertices)))
    wanted = sources if keep is None else [sources[joint] for joint in keep]
    points = sorted(set(wanted))  # fifteen of the 49 joints coincide with another
    return _moments(body, on_joints[points], on_vertices[points]), [points.index(source) for source in wanted]
