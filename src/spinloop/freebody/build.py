"""The neutral, female and male body, from Anny to the arrays of a body file."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from scipy import sparse

from spinloop.body.files import N_SHAPE, N_VERTICES, BodyFile
from spinloop.freebody.anny import AnnySource, RestBodies, to_tpose
from spinloop.freebody.decimation import decimate_symmetric
from spinloop.freebody.joints import (
    AT_REST,
    HEAD_TOP_ID,
    POSED,
    Points,
    coco_points,
    extra_points,
    fit_rows,
    h36m_points,
    joint_points,
    skin_landmarks,
)
from spinloop.freebody.population import (
    ShapeSpace,
    matched,
    principal_shapes,
    sample_adults,
    sample_rig_bodies,
)
from spinloop.freebody.rigging import merge_weights, part_labels, pose_shapes
from spinloop.freebody.surface import closed_skin, number_faces, number_vertices
from spinloop.joints import EXTRA9, SMPL24, SMPL_PARENTS

# How costly lost detail is: people look at the face; filled eyes and mouth need few vertices.
_FACE_IMPORTANCE = 2.0
_POCKET_IMPORTANCE = 0.3

Sampler = Callable[[AnnySource, int, bool, tuple[float, float], np.random.Generator], RestBodies]


class Sizes(NamedTuple):
    """How many bodies of each sex."""

    n_bodies: int
    """Adults, for the means and shape directions."""
    n_rig_bodies: int
    """Bodies from which joint regressors are fitted; see `population.sample_rig_bodies`."""
    n_held_out: int
    """Of both kinds, used by no fit."""


class Mesh(NamedTuple):
    """What all free bodies share: vertices as averages of Anny's, faces, and what moves them."""

    average: sparse.csr_array
    """(6890, V): each vertex as an average of Anny's."""
    faces: Int[ndarray, "F 3"]
    flip: Int[ndarray, " W"]
    """The vertex on the other side."""
    weights: Float[ndarray, "W 24"]
    """Skinning weights."""
    parts: UInt8[ndarray, " F"]
    origin: Float[ndarray, " 3"]
    """Origin of the body file relative to the pelvis: mean vertex of the mean body, metres."""


class Population(NamedTuple):
    """N bodies in the T-pose: vertices, joints by three definitions, phenotypes."""

    vertices: Float[ndarray, "N W 3"]
    joints: Points
    extra: Points
    h36m: Points
    phenotypes: dict[str, Float[ndarray, " N"]]

    def subset(self, chosen: slice) -> "Population":
        """Some of these bodies."""
        return Population(
            self.vertices[chosen],
            *({name: points[chosen] for name, points in group.items()} for group in self[1:]),
        )

    def joined(self, other: "Population") -> "Population":
        """This population followed by another."""
        both = [
            {name: np.concatenate([mine[name], theirs[name]]) for name in mine}
            for mine, theirs in zip(self[1:], other[1:], strict=True)
        ]
        return Population(np.concatenate([self.vertices, other.vertices]), *both)


class Regressors(NamedTuple):
    """Rows for SMPL's 24 joints, SPIN's nine extra ones and Human3.6M's 17."""

    joints: Float[ndarray, "24 W"]
    extra: Float[ndarray, "9 W"]
    h36m: Float[ndarray, "17 W"]


class FreeBodies(NamedTuple):
    """The bodies, and the data that they were made from."""

    files: dict[str, BodyFile]
    """By gender."""
    mesh: Mesh
    regressors: Regressors
    spaces: dict[str, ShapeSpace]
    """By gender."""
    adults: dict[str, Population]
    """By sex: those from which means and shape directions were computed."""
    held_out: dict[str, Population]
    """`adults` and `rig_bodies` that took part in no fit, both sexes."""


def build_free_bodies(
    source: AnnySource, sizes: Sizes, age_years: tuple[float, float], rng: np.random.Generator
) -> FreeBodies:
    """Build the three bodies.

    Args:
        source: Anny.
        sizes: how many bodies are sampled.
        age_years: youngest and oldest adult, years.
        rng: source of all random numbers; the same state gives the same bodies.
    """
    women, men = _both_sexes(source, sample_adults, sizes.n_bodies + sizes.n_held_out, age_years, rng)
    mesh = build_mesh(source, mean_body(women, men))
    adults = {"female": population_of(source, mesh, women), "male": population_of(source, mesh, men)}
    n_rig_bodies = sizes.n_rig_bodies + sizes.n_held_out
    rigs = [
        population_of(source, mesh, bodies)
        for bodies in _both_sexes(source, sample_rig_bodies, n_rig_bodies, age_years, rng)
    ]
    fitted = {sex: people.subset(slice(0, sizes.n_bodies)) for sex, people in adults.items()}
    regressors = fit_regressors(mesh, _joined([rig.subset(slice(0, sizes.n_rig_bodies)) for rig in rigs]))
    spaces = shape_spaces(mesh, fitted["female"], fitted["male"])
    # One seed for all genders, so that their pose blend shapes are fitted at the same rotations.
    seed = int(rng.integers(2**32))
    files = {
        gender: body_file(mesh, regressors, space, gender, np.random.default_rng(seed))
        for gender, space in spaces.items()
    }
    held_out = {
        "adults": _joined([people.subset(slice(sizes.n_bodies, None)) for people in adults.values()]),
        "rig_bodies": _joined([rig.subset(slice(sizes.n_rig_bodies, None)) for rig in rigs]),
    }
    return FreeBodies(files, mesh, regressors, spaces, fitted, held_out)


def _both_sexes(
    source: AnnySource,
    sample: Sampler,
    n_bodies: int,
    age_years: tuple[float, float],
    rng: np.random.Generator,
) -> list[RestBodies]:
    """Women and men in the T-pose."""
    return [
        to_tpose(source, sample(source, n_bodies, is_female, age_years, rng)) for is_female in (True, False)
    ]


def _joined(groups: list[Population]) -> Population:
    first, second = groups
    return first.joined(second)


def mean_body(first: RestBodies, second: RestBodies) -> RestBodies:
    """One body: halfway between the means of two groups."""
    return RestBodies(
        (first.vertices.mean(axis=0) + second.vertices.mean(axis=0))[None] / 2,
        (first.heads.mean(axis=0) + second.heads.mean(axis=0))[None] / 2,
        {},
    )


def build_mesh(source: AnnySource, mean: RestBodies) -> Mesh:
    """Make the mesh on one body in the T-pose, the mean of the population."""
    skin = closed_skin(source, mean.vertices[0])
    points = skin.average @ mean.vertices[0]
    landmarks = skin_landmarks(source, skin, mean)
    is_locked = np.zeros(len(points), dtype=bool)
    is_locked[list(landmarks.values())] = True
    importance = np.where(_is_face(source, points, skin.anny_vertex), _FACE_IMPORTANCE, 1.0)
    importance[skin.is_pocket] = _POCKET_IMPORTANCE
    decimated = decimate_symmetric(points, skin.faces, skin.flip, N_VERTICES, is_locked, importance)
    present = {id_: int(np.searchsorted(decimated.kept, vertex)) for id_, vertex in landmarks.items()}
    is_middle = skin.flip == np.arange(len(points))
    is_right = (points[:, 0] < 0) & ~is_middle
    order = number_vertices(is_right[decimated.kept], present)
    kept = decimated.kept[order]
    position = np.full(len(points), -1)
    position[kept] = np.arange(len(kept))
    average = skin.average[kept]
    faces = number_faces(decimated.faces, order)
    flip = position[skin.flip[kept]]
    weights = merge_weights(average @ source.weights, source.bones, flip)
    origin = (average @ mean.vertices[0]).mean(axis=0) * [0.0, 1.0, 1.0]
    return Mesh(average, faces, flip, weights, part_labels(weights, faces), origin)


def _is_face(
    source: AnnySource, points: Float[ndarray, "S 3"], anny_vertex: Int[ndarray, " S"]
) -> Bool[ndarray, " S"]:
    """The front half of the head."""
    on_head = source.weights[anny_vertex][:, source.bone("head")] > 0.5
    return on_head & (points[:, 2] > points[on_head, 2].mean())


def population_of(source: AnnySource, mesh: Mesh, bodies: RestBodies) -> Population:
    """Vertices and joints of T-posed bodies, relative to the mesh's origin."""
    bodies = RestBodies(bodies.vertices - mesh.origin, bodies.heads - mesh.origin, bodies.phenotypes)
    vertices = np.stack([mesh.average @ body for body in bodies.vertices])
    head_top = vertices[:, HEAD_TOP_ID]
    joints = joint_points(source, bodies)
    h36m = h36m_points(joints, coco_points(source, bodies), head_top)
    return Population(vertices, joints, extra_points(joints, h36m, head_top), h36m, bodies.phenotypes)


def fit_regressors(mesh: Mesh, people: Population) -> Regressors:
    """Joint regressors over a population; the top of the head is a vertex itself."""
    extra = fit_rows(people.vertices, people.extra, mesh.flip, POSED)
    head_top = EXTRA9.index("extra_head_top_lsp")
    extra[head_top] = 0.0
    extra[head_top, HEAD_TOP_ID] = 1.0
    return Regressors(
        fit_rows(people.vertices, people.joints, mesh.flip, AT_REST),
        extra,
        fit_rows(people.vertices, people.h36m, mesh.flip, POSED),
    )


def shape_spaces(mesh: Mesh, female: Population, male: Population) -> dict[str, ShapeSpace]:
    """Shape directions of women, men and all; β_k means about the same in each."""
    neutral = principal_shapes(np.concatenate([female.vertices, male.vertices]), mesh.faces, N_SHAPE)
    return {
        "neutral": neutral,
        "female": matched(principal_shapes(female.vertices, mesh.faces, N_SHAPE), neutral),
        "male": matched(principal_shapes(male.vertices, mesh.faces, N_SHAPE), neutral),
    }


def body_file(
    mesh: Mesh, regressors: Regressors, space: ShapeSpace, gender: str, rng: np.random.Generator
) -> BodyFile:
    """The arrays of one body, floats in single precision.

    Args:
        mesh: what all bodies share.
        regressors: joint regressors of the mesh.
        space: mean and directions of the people that the body stands for.
        gender: their name in the file.
        rng: samples the rotations at which pose blend shapes are fitted.
    """
    posedirs = pose_shapes(space.mean, regressors.joints @ space.mean, mesh.weights, mesh.flip, rng)
    parents = np.array(SMPL_PARENTS)
    return BodyFile(
        v_template=space.mean.astype(np.float32),
        shapedirs=space.directions.astype(np.float32),
        posedirs=posedirs.astype(np.float32),
        J_regressor=regressors.joints.astype(np.float32),
        weights=mesh.weights.astype(np.float32),
        kintree_table=np.stack([parents, np.arange(len(SMPL24))]).astype(np.int64),
        f=mesh.faces.astype(np.int32),
        J_regressor_extra=regressors.extra.astype(np.float32),
        J_regressor_h36m=regressors.h36m.astype(np.float32),
        part_labels=mesh.parts,
        gender=gender,
    )
