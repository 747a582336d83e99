"""Anny as plain arrays: its rest bodies, bones and keypoints in SMPL's frame, exactly symmetric.

Drawing adults: Anny's own distribution of body shapes, held to published statures.

Source: the stature of adults is WHO's growth reference for 5–19 years (2007) at 19 years.
"""

from dataclasses import dataclass
from typing import NamedTuple

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.phenotype import phenotype_blendshape_weights
from anny.shape_distribution import SimpleShapeDistribution
from jaxtyping import Bool, Float, Int
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


# Phenotypes that Anny's calibration leaves free; drawn uniformly, as Anny does.
_FREE_PHENOTYPES = ("cupsize", "firmness", "african", "asian", "caucasian")
_CALIBRATED_PHENOTYPES = ("height", "weight", "muscle", "proportions")
# Anny calls a body male up to 0.5 and calibrated its statures over the whole half; the middle of each half
# keeps the calibrated mean and leaves out bodies between the sexes and beyond them.
_GENDER_RANGE = {False: (0.1, 0.4), True: (0.6, 0.9)}
# Bodies that are drawn at once before some of them are turned down; enough to know how their statures spread.
_DRAW = 1024

Phenotypes = dict[str, Float[ndarray, " N"]]


class Stature(NamedTuple):
    """A normal distribution of stature, metres."""

    mean: float
    deviation: float


# By `is_female`.
PUBLISHED_STATURE = {False: Stature(1.765, 0.073), True: Stature(1.632, 0.065)}


def sample_phenotypes(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> Phenotypes:
    """Phenotypes of random adults of one sex as Anny distributes them.

    Age is uniform; stature, weight, muscle and proportions follow Anny's distributions given age and sex.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: the sex.
        age_years: youngest and oldest, years.
        rng: the source of chance.

    Returns:
        Phenotype values in [0, 1] by Anny's labels.
    """
    distribution = SimpleShapeDistribution(source.model)
    years = torch.as_tensor(rng.uniform(*age_years, n_bodies))
    age = distribution.morphological_age_mapping.morphological_to_anny_age(years)
    phenotypes = {"age": age.numpy(), "gender": rng.uniform(*_GENDER_RANGE[is_female], n_bodies)}
    sex = "girls" if is_female else "boys"
    for name in _CALIBRATED_PHENOTYPES:
        conditional = getattr(distribution, f"{sex}_conditional_{name}_distribution")
        alpha, beta = conditional.get_distribution_params(age)
        phenotypes[name] = rng.beta(alpha.numpy(), beta.numpy())
    for name in _FREE_PHENOTYPES:
        phenotypes[name] = rng.uniform(0.0, 1.0, n_bodies)
    return phenotypes


def draw_adults(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> RestBodies:
    """Random adults of one sex whose statures follow the published distribution.

    Anny's adults spread more in stature than people do (9 cm against 7 cm), so a drawn body is kept with a
    probability that falls with the distance of its stature from the published mean; all else stays Anny's.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: the sex.
        age_years: youngest and oldest, years.
        rng: the source of chance.
    """
    drawn: list[Phenotypes] = []
    proposed = Stature(np.nan, np.nan)
    while sum(len(batch["age"]) for batch in drawn) < n_bodies:
        batch = sample_phenotypes(source, _DRAW, is_female, age_years, rng)
        tall = source.statures(batch)
        if not drawn:
            proposed = Stature(float(tall.mean()), float(tall.std(ddof=1)))
        kept = _accepted(tall, proposed, PUBLISHED_STATURE[is_female], rng)
        drawn.append({name: values[kept] for name, values in batch.items()})
    return source.rest_bodies(
        {name: np.concatenate([batch[name] for batch in drawn])[:n_bodies] for name in drawn[0]}
    )


def _accepted(
    tall: Float[ndarray, " N"], proposed: Stature, wanted: Stature, rng: np.random.Generator
) -> Bool[ndarray, " N"]:
    """Rejection sampling from one normal distribution to a narrower one.

    The ratio of the two densities is itself a normal curve; its peak is made certain.

    Raises:
        ValueError: the proposed distribution is not the wider one.
    """
    precision = wanted.deviation**-2 - proposed.deviation**-2
    if precision <= 0:
        raise ValueError(
            f"drawn statures spread {proposed.deviation:.3f} m, less than {wanted.deviation:.3f} m"
        )
    peak = (wanted.mean * wanted.deviation**-2 - proposed.mean * proposed.deviation**-2) / precision
    return rng.uniform(0.0, 1.0, len(tall)) < np.exp(-0.5 * precision * (tall - peak) ** 2)


def draw_rig_bodies(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> RestBodies:
    """Adults of Anny's middle stature, on which its bones sit in the joints of its skin.

    At other statures Anny's bones slide along the limbs: the knee's bone lies 44 % of the way from hip to
    ankle at a height of 0.25 and 53 % at 0.75, while the knee of the skin stays near 49 % (as in people).
    Joints are therefore learnt where skin and bones agree.
    """
    phenotypes = sample_phenotypes(source, n_bodies, is_female, age_years, rng)
    return source.rest_bodies(phenotypes | {"height": np.full(n_bodies, 0.5)})
