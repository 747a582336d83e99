"""Anny as plain arrays: rest bodies, bones and keypoints in SMPL's frame, and their T-pose.

Everything is made exactly symmetric; Anny's own bodies are symmetric within 1 cm.
"""

from dataclasses import dataclass

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.phenotype import phenotype_blendshape_weights
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

# Regions of Anny's segmentation that are not skin seen from outside.
_HIDDEN_REGIONS = ("mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue")
_EYE_REGIONS = ("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R")

# Anny spreads the twist of a limb over bones that SMPL lacks, so its weights change within two rows of
# vertices at the elbow; these steps of smoothing widen that to what a single joint needs.
_SMOOTHING_STEPS = 8
# The soles and the head top of every body are among so many lowest and highest vertices of the template.
_END_VERTICES = 400

# Shares of clavicle and shoulder blade in raising an arm to the T-pose, from MakeHuman's T-pose of this rig.
_CLAVICLE_DEG = 10.0
_SHOULDER_BLADE_DEG = 8.0
# Outward lean of the line from hip to ankle, degrees: feet a little wider than hips.
_LEG_LEAN_DEG = 2.0

_FLIP_X = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class RestBodies:
    """Bodies in one pose (Anny's rest pose or the T-pose), in SMPL's frame."""

    vertices: Float[ndarray, "N V 3"]
    """Metres."""
    heads: Float[ndarray, "N B 3"]
    """Start of each bone, metres."""
    phenotypes: dict[str, Float[ndarray, " N"]]
    """Anny's shape parameters in [0, 1] by name."""


@dataclass(frozen=True)
class AnnySource:
    """Anny's template, rig and regions as arrays; see `load_anny`."""

    model: anny.Anny
    faces: Int[ndarray, "F 3"]
    bones: tuple[str, ...]
    bone_parents: tuple[int, ...]
    weights: Float[ndarray, "V B"]
    """Skinning weights, slightly smoothed; rows sum to one."""
    flip: Int[ndarray, " V"]
    """The vertex on the other side of the body (itself on the midline)."""
    bone_flip: Int[ndarray, " B"]
    """The bone on the other side."""
    keypoints: dict[str, Float[ndarray, " V"]]
    """Anny's COCO keypoints as averages of vertices."""
    regions: dict[str, Int[ndarray, " K"]]
    """Faces of the cavities and of the eyeballs, by Anny's names."""

    def bone(self, name: str) -> int:
        """Index of a bone by name."""
        return self.bones.index(name)

    def rest_bodies(self, phenotypes: dict[str, Float[ndarray, " N"]], chunk: int = 64) -> RestBodies:
        """Bodies of given shapes in the rest pose, made symmetric.

        Args:
            phenotypes: Anny's shape parameters by name, in [0, 1]; 0.5 for one that is left out.
            chunk: bodies that are computed at once.
        """
        model = self.model
        blend = self._blend(phenotypes)
        parts = np.split(blend, range(chunk, len(blend), chunk))
        vertices = np.concatenate(
            [_apply(part, model.template_vertices, model.blendshapes) for part in parts]
        )
        heads = _apply(blend, model.template_bone_heads, model.bone_heads_blendshapes)
        return RestBodies(_symmetric(vertices, self.flip), _symmetric(heads, self.bone_flip), phenotypes)

    def statures(self, phenotypes: dict[str, Float[ndarray, " N"]]) -> Float[ndarray, " N"]:
        """From sole to head top, metres; only the vertices near both are computed."""
        height = self.model.template_vertices[:, 2].argsort()
        ends = torch.cat([height[:_END_VERTICES], height[-_END_VERTICES:]])
        points = _apply(
            self._blend(phenotypes), self.model.template_vertices[ends], self.model.blendshapes[:, ends]
        )
        return np.ptp(points[..., 1], axis=1)

    def _blend(self, phenotypes: dict[str, Float[ndarray, " N"]]) -> Float[ndarray, "N S"]:
        """Coefficients of Anny's blend shapes; 64 bodies at a time, to save memory."""
        model = self.model
        n_bodies = len(next(iter(phenotypes.values())))
        values = np.stack(
            [phenotypes.get(name, np.full(n_bodies, 0.5)) for name in model.phenotype_labels], axis=1
        )
        return np.concatenate(
            [
                phenotype_blendshape_weights(
                    part,
                    model.phenotype_labels,
                    model.anchors,
                    model.stacked_phenotype_blend_shapes_mask,
                    extrapolate=False,
                ).numpy()
                for part in torch.as_tensor(values, dtype=model.dtype).split(64)
            ]
        )


def load_anny() -> AnnySource:
    """Load Anny with all shape parameters and its default rig.

    The first time takes about a minute, in which Anny reads some 1,200 small files; it keeps the result in
    the user's cache folder. Nothing is downloaded.
    """
    model = anny.Anny(phenotypes="all", phenotype_blendshapes="original", skinning_method="lbs")
    bones = tuple(model.bone_labels)
    vertices = model.template_vertices.numpy()
    regressor = anny.KeypointsRegressor.coco(model)
    regions = {
        name: np.flatnonzero(get_face_segmentation_mask(model, [name]).numpy())
        for name in (*_HIDDEN_REGIONS, *_EYE_REGIONS)
    }
    return AnnySource(
        model=model,
        faces=model.faces.numpy(),
        bones=bones,
        bone_parents=tuple(model.bone_parents),
        weights=_smoothed(_dense_weights(model), model.faces.numpy()),
        flip=np.asarray(KDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])[1]),
        bone_flip=np.array([bones.index(_other_side(name)) for name in bones]),
        keypoints=dict(zip(regressor.labels, regressor.regression_weights.numpy(), strict=True)),
        regions=regions,
    )


def _dense_weights(model: anny.Anny) -> Float[ndarray, "V B"]:
    weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy())
    return weights / weights.sum(axis=1, keepdims=True)


def _smoothed(weights: Float[ndarray, "V B"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, "V B"]:
    """Weights averaged over neighboring vertices; rows still sum to one."""
    edges = face_edges(faces)
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    graph = sparse.csr_array((np.ones(len(edges)), edges.T), shape=(len(weights), len(weights)))
    step = sparse.eye_array(len(weights)) + sparse.diags_array(1.0 / graph.sum(axis=1)) @ graph
    for _ in range(_SMOOTHING_STEPS):
        weights = step @ weights / 2
    return weights


def face_edges(faces: Int[ndarray, "F 3"]) -> Int[ndarray, "E 2"]:
    """The directed edges of all faces, E = 3 F."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _apply(blend: Float[ndarray, "N S"], template: Tensor, shapes: Tensor) -> Float[ndarray, "N K 3"]:
    return _to_smpl_frame(template.numpy() + np.tensordot(blend, shapes.numpy(), 1))


def _to_smpl_frame(points: Float[ndarray, "... 3"]) -> Float[ndarray, "... 3"]:
    """Anny has z up and faces −y; its left is +x, as SMPL's."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _symmetric(points: Float[ndarray, "N K 3"], flip: Int[ndarray, " K"]) -> Float[ndarray, "N K 3"]:
    return (points + points[:, flip] * [-1.0, 1.0, 1.0]) / 2


def _other_side(name: str) -> str:
    swapped = {"L": "R", "R": "L"}
    stem, dot, side = name.rpartition(".")
    return f"{stem}{dot}{swapped[side]}" if side in swapped else name


def to_tpose(source: AnnySource, bodies: RestBodies) -> RestBodies:
    """Bodies in SMPL's T-pose, the pelvis of each at the origin.

    Each body is posed by its own bones: arms along x, elbows straight, palms down, feet as in the rest pose.
    Each leg rotates as a whole until the line from hip to ankle is upright in side view and leans outward by
    2° in front view; the knee keeps Anny's slight bend.

    Args:
        source: bones and weights.
        bodies: in Anny's rest pose, symmetric.
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


def _world_rotations(source: AnnySource, heads: Float[ndarray, "N B 3"]) -> Float[ndarray, "N B 3 3"]:
    """Rotation of each bone from rest pose to T-pose, in the body's frame; by default that of its parent."""
    left = _arm_rotations(source, heads) | _leg_rotations(source, heads)
    identity = np.broadcast_to(np.eye(3), (len(heads), 3, 3))
    rotations: list[Float[ndarray, "N 3 3"]] = []
    for name, parent in zip(source.bones, source.bone_parents, strict=True):
        left_name = name.removesuffix(".R") + ".L"
        if name in left:
            rotations.append(left[name])
        elif name.endswith(".R") and left_name in left:
            rotations.append(_FLIP_X @ left[left_name] @ _FLIP_X)
        else:
            rotations.append(rotations[parent] if parent >= 0 else identity)
    return np.stack(rotations, axis=1)


def _arm_rotations(source: AnnySource, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left arm: straight along +x, elbow opening forward, palm down, thumb forward."""

    def between(first: str, second: str) -> Float[ndarray, "N 3"]:
        return heads[:, source.bone(second)] - heads[:, source.bone(first)]

    upper, fore = between("upperarm01.L", "lowerarm01.L"), between("lowerarm01.L", "wrist.L")
    hinge = np.cross(upper, fore)
    hand, thumb_side = between("wrist.L", "finger3-1.L"), between("finger5-1.L", "finger2-1.L")
    along, down, forward = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
    wrist = _rotation_between(hand, thumb_side, along, forward)
    elbow = _rotation_between(fore, hinge, along, down)
    return {
        "clavicle.L": np.broadcast_to(_about_z(_CLAVICLE_DEG), (len(heads), 3, 3)),
        "shoulder01.L": np.broadcast_to(_about_z(_CLAVICLE_DEG + _SHOULDER_BLADE_DEG), (len(heads), 3, 3)),
        "upperarm01.L": _rotation_between(upper, hinge, along, down),
        "lowerarm01.L": elbow,
        "lowerarm02.L": _half_twist(elbow, wrist) @ elbow,
        "wrist.L": wrist,
    }


def _leg_rotations(source: AnnySource, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left leg: one rotation at the hip makes hip→ankle upright; the foot keeps its orientation."""
    line = heads[:, source.bone("foot.L")] - heads[:, source.bone("upperleg01.L")]
    lean = np.deg2rad(_LEG_LEAN_DEG)
    target = np.array([np.sin(lean), -np.cos(lean), 0.0])
    forward = np.array([0.0, 0.0, 1.0])
    leg = _rotation_between(line, np.broadcast_to(forward, line.shape), target, forward)
    return {"upperleg01.L": leg, "foot.L": np.broadcast_to(np.eye(3), leg.shape)}


def _rotation_between(
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
    """Half of the rotation about x from the forearm's frame to the hand's."""
    quaternion = Rotation.from_matrix(end @ np.swapaxes(start, 1, 2)).as_quat()
    twist = 2 * np.arctan2(quaternion[:, 0], quaternion[:, 3])
    twist = (twist + np.pi) % (2 * np.pi) - np.pi
    return Rotation.from_euler("x", twist[:, None] / 2).as_matrix()


def _about_z(angle_deg: float) -> Float[ndarray, "3 3"]:
    return Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()


def _posed_heads(
    source: AnnySource, heads: Float[ndarray, "N B 3"], rotations: Float[ndarray, "N B 3 3"]
) -> Float[ndarray, "N B 3"]:
    posed = heads.copy()
    for bone, parent in enumerate(source.bone_parents):
        if parent >= 0:
            offset = heads[:, bone] - heads[:, parent]
            posed[:, bone] = posed[:, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
    return posed
