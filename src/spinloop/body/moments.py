"""Sums over the mesh that posed joints need, done once.

A joint regressed from posed vertices is j = Σ_v w_v Σ_b s_vb G_b [x_v(β, f); 1], where s are the skinning
weights, G_b the bones' motions, and the unposed vertex x_v is affine in the shape β and in the pose features
f = R_1..23 − I. The sum over v does not depend on the pose. With bone offsets folded in as well,

    j = m J_root(β) + Σ_b R_b ν_b(β, f),

R_b being the bone's rotation in camera axes and ν_b a 3-vector affine in β and f. Nothing is approximated.

Source: the project's architecture notes, sec. 6; linear blend skinning as in Loper et al., SMPL.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from spinloop.joints import SMPL24, SMPL_PARENTS, VERTEX_JOINTS

N_BONES = len(SMPL24)
N_BETAS = 10
N_FEATURES = 9 * (N_BONES - 1)


@runtime_checkable
class BodyArrays(Protocol):
    """The arrays of a body file that joints depend on (see `body.files`)."""

    @property
    def v_template(self) -> Float[np.ndarray, "V 3"]:
        """Rest vertices, metres."""
        ...

    @property
    def shapedirs(self) -> Float[np.ndarray, "V 3 10"]:
        """Change of the rest vertices with each shape coefficient, metres."""
        ...

    @property
    def posedirs(self) -> Float[np.ndarray, "V 3 207"]:
        """Change of the rest vertices with each entry of R_1..23 − I, metres."""
        ...

    @property
    def J_regressor(self) -> Float[np.ndarray, "24 V"]:
        """Skeleton joints from rest vertices."""
        ...

    @property
    def weights(self) -> Float[np.ndarray, "V 24"]:
        """Skinning weights."""
        ...

    @property
    def J_regressor_extra(self) -> Float[np.ndarray, "9 V"]:
        """Joints `EXTRA9` from posed vertices."""
        ...

    @property
    def J_regressor_h36m(self) -> Float[np.ndarray, "17 V"]:
        """Joints `H36M17` from posed vertices."""
        ...


class Moments(NamedTuple):
    """The precomputed sums for P points, float64, metres."""

    offsets: Float[np.ndarray, "11 24 3 P"]
    """ν per bone and point: constant part first, then its change with each shape coefficient."""
    blend: Float[np.ndarray, "207 3 N"]
    """Change of ν with the pose features, for the (bone, point) pairs where it is not zero."""
    blend_bone: Int[np.ndarray, " N"]
    """Bone of each such pair, ascending."""
    blend_point: Int[np.ndarray, " N"]
    """Point of each such pair."""
    root: Float[np.ndarray, "11 3"]
    """Rest position of the root joint: constant part, then its change with each shape coefficient."""
    mass: Float[np.ndarray, " P"]
    """Sum of each point's weights, 1 for a proper regressor."""


def moments(
    body: BodyArrays, on_joints: Float[np.ndarray, "P 24"], on_vertices: Float[np.ndarray, "P V"]
) -> Moments:
    """Sum the mesh up for points that are weighted means of posed skeleton joints and posed vertices.

    Args:
        body: the body.
        on_joints: weights over the 24 joints of the skeleton.
        on_vertices: weights over the mesh.
    """
    used = np.flatnonzero(np.any(on_vertices != 0, axis=0))
    share = np.einsum("pv,vb->bpv", on_vertices[:, used], body.weights[used].astype(np.float64))
    affine = np.concatenate([body.v_template[..., None], body.shapedirs[..., :N_BETAS]], -1, dtype=np.float64)
    rest = np.tensordot(body.J_regressor.astype(np.float64), affine, 1)  # (24, 3, 11)
    carried = share.sum(-1) + on_joints.T  # (24, P): weight of each point on each bone
    # Moments about the bone's own joint; skeleton joints lie on it and have none.
    own = np.tensordot(share, affine[used], 1) - share.sum(-1)[..., None, None] * rest[:, None]

    below = descendants() @ carried  # (24, P): weight on a bone and all bones below it
    for bone, parent in list(enumerate(SMPL_PARENTS))[1:]:
        own[parent] += below[bone][:, None, None] * (rest[bone] - rest[parent])
    blend = np.tensordot(share, body.posedirs[used].astype(np.float64), 1)  # (24, P, 3, 207)
    bone, point = np.nonzero(np.any(blend != 0, axis=(2, 3)))
    return Moments(
        offsets=own.transpose(3, 0, 2, 1),
        blend=blend[bone, point].transpose(2, 1, 0),
        blend_bone=bone,
        blend_point=point,
        root=rest[0].T,
        mass=below[0],
    )


def descendants() -> Float[np.ndarray, "24 24"]:
    """1 where the column's bone is the row's bone or hangs below it."""
    matrix = np.eye(N_BONES)
    for bone in range(N_BONES):
        ancestor = SMPL_PARENTS[bone]
        while ancestor >= 0:
            matrix[ancestor, bone] = 1
            ancestor = SMPL_PARENTS[ancestor]
    return matrix


def source54_weights(
    extra: Float[np.ndarray, "9 V"],
) -> tuple[Float[np.ndarray, "54 24"], Float[np.ndarray, "54 V"]]:
    """Weights on skeleton and mesh of the 54 joints that the 49 are gathered from.

    Args:
        extra: regressor of the nine joints that SMPL's tree lacks.
    """
    n_vertices = extra.shape[1]
    vertices = np.zeros((len(VERTEX_JOINTS), n_vertices))
    vertices[np.arange(len(VERTEX_JOINTS)), list(VERTEX_JOINTS.values())] = 1
    on_vertices = np.concatenate([np.zeros((N_BONES, n_vertices)), vertices, extra])
    on_joints = np.zeros((len(on_vertices), N_BONES))
    on_joints[:N_BONES] = np.eye(N_BONES)
    return on_joints, on_vertices
