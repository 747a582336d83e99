"""Anny as plain arrays: its rest bodies, bones and keypoints in SMPL's frame, exactly symmetric."""

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
from torch import Tensor

# Regions of Anny's segmentation that are not skin seen from outside.
_HIDDEN_REGIONS = ("mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue")
_EYE_REGIONS = ("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R")

# Anny spreads the twist of a limb over bones that SMPL lacks, so at the elbow its weights change within two
# rows of vertices; so many steps of smoothing widen that to what a single joint needs.
_SMOOTHING_STEPS = 8
# So many of the lowest and of the highest vertices hold every body's sole and crown.
_END_VERTICES = 400


@dataclass(frozen=True)
class RestBodies:
    """Bodies in Anny's own rest pose, in SMPL's frame."""

    vertices: Float[ndarray, "N V 3"]
    """Metres."""
    heads: Float[ndarray, "N B 3"]
    """Where each bone begins, metres."""
    phenotypes: dict[str, Float[ndarray, " N"]]
    """Anny's values in [0, 1] that made them, by its labels."""


@dataclass(frozen=True)
class Source:
    """What the build needs of Anny; see `load_source`."""

    model: anny.Anny
    faces: Int[ndarray, "F 3"]
    bones: tuple[str, ...]
    bone_parents: tuple[int, ...]
    weights: Float[ndarray, "V B"]
    """Skinning weights, slightly smoothed; rows sum to one."""
    mirror: Int[ndarray, " V"]
    """The vertex on the other side of the body (itself on the midline)."""
    bone_mirror: Int[ndarray, " B"]
    """The bone on the other side."""
    keypoints: dict[str, Float[ndarray, " V"]]
    """Anny's COCO keypoints as averages of vertices."""
    regions: dict[str, Int[ndarray, " K"]]
    """Faces of the parts that are hidden (cavities) or apart from the skin (eyes)."""

    def bone(self, name: str) -> int:
        """Index of a bone by name."""
        return self.bones.index(name)

    def rest_bodies(self, phenotypes: dict[str, Float[ndarray, " N"]], chunk: int = 64) -> RestBodies:
        """Shape bodies.

        Args:
            phenotypes: Anny's phenotype values by label, in [0, 1]; a label left out is Anny's middle, 0.5.
            chunk: bodies that are shaped at once.

        Returns:
            Metres, SMPL's frame; each body is made its own mirror image (Anny's differ by up to 1 cm).
        """
        model = self.model
        blend = self._blend(phenotypes)
        parts = np.split(blend, range(chunk, len(blend), chunk))
        vertices = np.concatenate(
            [_apply(part, model.template_vertices, model.blendshapes) for part in parts]
        )
        heads = _apply(blend, model.template_bone_heads, model.bone_heads_blendshapes)
        return RestBodies(_symmetric(vertices, self.mirror), _symmetric(heads, self.bone_mirror), phenotypes)

    def statures(self, phenotypes: dict[str, Float[ndarray, " N"]]) -> Float[ndarray, " N"]:
        """From sole to crown, metres, without shaping the whole bodies."""
        height = self.model.template_vertices[:, 2].argsort()
        ends = torch.cat([height[:_END_VERTICES], height[-_END_VERTICES:]])
        points = _apply(
            self._blend(phenotypes), self.model.template_vertices[ends], self.model.blendshapes[:, ends]
        )
        return np.ptp(points[..., 1], axis=1)

    def _blend(self, phenotypes: dict[str, Float[ndarray, " N"]]) -> Float[ndarray, "N S"]:
        """Coefficients of Anny's blend shapes; a few bodies at a time, for the memory's sake."""
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


def load_source() -> Source:
    """Load Anny with every phenotype and its shipped rig.

    Anny reads some 1,200 small files the first time, which takes about a minute; it keeps what it made in the
    user's cache folder for the next time. Nothing is downloaded.
    """
    model = anny.Anny(phenotypes="all", phenotype_blendshapes="original", skinning_method="lbs")
    bones = tuple(model.bone_labels)
    vertices = model.template_vertices.numpy()
    regressor = anny.KeypointsRegressor.coco(model)
    regions = {
        name: np.flatnonzero(get_face_segmentation_mask(model, [name]).numpy())
        for name in (*_HIDDEN_REGIONS, *_EYE_REGIONS)
    }
    return Source(
        model=model,
        faces=model.faces.numpy(),
        bones=bones,
        bone_parents=tuple(model.bone_parents),
        weights=_smoothed(_dense_weights(model), model.faces.numpy()),
        mirror=np.asarray(KDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])[1]),
        bone_mirror=np.array([bones.index(_other_side(name)) for name in bones]),
        keypoints=dict(zip(regressor.labels, regressor.regression_weights.numpy(), strict=True)),
        regions=regions,
    )


def _dense_weights(model: anny.Anny) -> Float[ndarray, "V B"]:
    weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy())
    return weights / weights.sum(axis=1, keepdims=True)


def _smoothed(weights: Float[ndarray, "V B"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, "V B"]:
    """Spread weights over neighboring vertices; rows still sum to one."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    graph = sparse.csr_array((np.ones(len(edges)), edges.T), shape=(len(weights), len(weights)))
    step = sparse.eye_array(len(weights)) + sparse.diags_array(1.0 / graph.sum(axis=1)) @ graph
    for _ in range(_SMOOTHING_STEPS):
        weights = step @ weights / 2
    return weights


def _apply(blend: Float[ndarray, "N S"], template: Tensor, shapes: Tensor) -> Float[ndarray, "N K 3"]:
    return _to_smpl_frame(template.numpy() + np.tensordot(blend, shapes.numpy(), 1))


def _to_smpl_frame(points: Float[ndarray, "... 3"]) -> Float[ndarray, "... 3"]:
    """Anny has z up and faces −y; its left is +x, as SMPL's."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _symmetric(points: Float[ndarray, "N K 3"], mirror: Int[ndarray, " K"]) -> Float[ndarray, "N K 3"]:
    return (points + points[:, mirror] * [-1.0, 1.0, 1.0]) / 2


def _other_side(name: str) -> str:
    swapped = {"L": "R", "R": "L"}
    stem, dot, side = name.rpartition(".")
    return f"{stem}{dot}{swapped[side]}" if side in swapped else name
