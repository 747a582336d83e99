"""The free body from start to end.

A free body as the arrays of a body file.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy import sparse

from spinloop.body.files import BodyFile
from spinloop.freebody.anny import RestBodies, Source
from spinloop.freebody.decimation import thin_symmetric
from spinloop.freebody.joints import (
    AT_REST,
    CROWN_ID,
    POSED,
    Points,
    coco_points,
    extra_points,
    fit_rows,
    h36m_points,
    joint_points,
    merge_weights,
    part_labels,
    skin_landmarks,
)
from spinloop.freebody.shapes import ShapeSpace, like, principal_shapes
from spinloop.freebody.surface import closed_skin, number_faces, number_vertices
from spinloop.joints import EXTRA9, SMPL24, SMPL_PARENTS

N_VERTICES = 6890
N_SHAPES = 10
# How dear detail is: the face is what people look at; filled eyes and mouth need few vertices.
_FACE_IMPORTANCE = 2.0
_POCKET_IMPORTANCE = 0.3


class Mesh(NamedTuple):
    """What all free bodies share: vertices as averages of Anny's, faces and what moves them."""

    average: sparse.csr_array
    """(6890, V): each vertex as an average of Anny's."""
    faces: Int[ndarray, "F 3"]
    mirror: Int[ndarray, " W"]
    weights: Float[ndarray, "W 24"]
    parts: UInt8[ndarray, " F"]
    origin: Float[ndarray, " 3"]
    """Where the file's origin lies, seen from the pelvis: the middle of the typical body's vertices,
    metres."""


class Population(NamedTuple):
    """Bodies in the T-pose, all pelvises at one place: mesh, joints by three definitions, phenotypes."""

    vertices: Float[ndarray, "N W 3"]
    joints: Points
    extra: Points
    h36m: Points
    phenotypes: dict[str, Float[ndarray, " N"]]

    def part(self, chosen: slice) -> "Population":
        """Some of these bodies."""
        return Population(
            self.vertices[chosen],
            *({name: points[chosen] for name, points in group.items()} for group in self[1:]),
        )

    def and_also(self, other: "Population") -> "Population":
        """This population and the other."""
        both = [
            {name: np.concatenate([mine[name], theirs[name]]) for name in mine}
            for mine, theirs in zip(self[1:], other[1:], strict=True)
        ]
        return Population(np.concatenate([self.vertices, other.vertices]), *both)


class Regressors(NamedTuple):
    """Rows for SMPL's 24 joints, the nine extra ones and Human3.6M's 17."""

    joints: Float[ndarray, "24 W"]
    extra: Float[ndarray, "9 W"]
    h36m: Float[ndarray, "17 W"]


def build_mesh(source: Source, typical: RestBodies) -> Mesh:
    """Make the mesh on one typical body (T-pose)."""
    skin = closed_skin(source, typical.vertices[0])
    points = skin.average @ typical.vertices[0]
    landmarks = skin_landmarks(source, skin, typical)
    is_locked = np.zeros(len(points), dtype=bool)
    is_locked[list(landmarks.values())] = True
    importance = np.where(_is_face(source, points, skin.anny_vertex), _FACE_IMPORTANCE, 1.0)
    importance[skin.is_pocket] = _POCKET_IMPORTANCE
    thinned = thin_symmetric(points, skin.faces, skin.mirror, N_VERTICES, is_locked, importance)
    present = {id_: int(np.searchsorted(thinned.kept, vertex)) for id_, vertex in landmarks.items()}
    is_middle = skin.mirror == np.arange(len(points))
    is_right = (points[:, 0] < 0) & ~is_middle
    order = number_vertices(is_right[thinned.kept], present)
    kept = thinned.kept[order]
    position = np.full(len(points), -1)
    position[kept] = np.arange(len(kept))
    average = skin.average[kept]
    faces = number_faces(thinned.faces, order)
    mirror = position[skin.mirror[kept]]
    weights = merge_weights(average @ source.weights, source.bones, mirror)
    origin = (average @ typical.vertices[0]).mean(axis=0) * [0.0, 1.0, 1.0]
    return Mesh(average, faces, mirror, weights, part_labels(weights, faces), origin)


def _is_face(source: Source, points: Float[ndarray, "S 3"], anny_vertex: Int[ndarray, " S"]) -> ndarray:
    """The front half of the head."""
    on_head = source.weights[anny_vertex][:, source.bone("head")] > 0.5
    return on_head & (points[:, 2] > points[on_head, 2].mean())


def typical_body(first: RestBodies, second: RestBodies) -> RestBodies:
    """One body: halfway between the means of two groups."""
    return RestBodies(
        (first.vertices.mean(axis=0) + second.vertices.mean(axis=0))[None] / 2,
        (first.heads.mean(axis=0) + second.heads.mean(axis=0))[None] / 2,
        {},
    )


def describe(source: Source, mesh: Mesh, bodies: RestBodies) -> Population:
    """The mesh's vertices and the joints of T-posed bodies, seen from the mesh's origin."""
    bodies = RestBodies(bodies.vertices - mesh.origin, bodies.heads - mesh.origin, bodies.phenotypes)
    vertices = np.stack([mesh.average @ body for body in bodies.vertices])
    crown = vertices[:, CROWN_ID]
    joints = joint_points(source, bodies)
    h36m = h36m_points(joints, coco_points(source, bodies), crown)
    return Population(vertices, joints, extra_points(joints, h36m, crown), h36m, bodies.phenotypes)


def fit_regressors(mesh: Mesh, people: Population) -> Regressors:
    """Joint regressors over a population; the top of the head is the crown's vertex itself."""
    extra = fit_rows(people.vertices, people.extra, mesh.mirror, POSED)
    crown = EXTRA9.index("extra_head_top_lsp")
    extra[crown] = 0.0
    extra[crown, CROWN_ID] = 1.0
    return Regressors(
        fit_rows(people.vertices, people.joints, mesh.mirror, AT_REST),
        extra,
        fit_rows(people.vertices, people.h36m, mesh.mirror, POSED),
    )


def shape_spaces(mesh: Mesh, female: Population, male: Population) -> dict[str, ShapeSpace]:
    """Shape directions of women, men and all; β_k means about the same in each."""
    neutral = principal_shapes(np.concatenate([female.vertices, male.vertices]), mesh.faces, N_SHAPES)
    return {
        "neutral": neutral,
        "female": like(principal_shapes(female.vertices, mesh.faces, N_SHAPES), neutral),
        "male": like(principal_shapes(male.vertices, mesh.faces, N_SHAPES), neutral),
    }


def body_file(
    mesh: Mesh, regressors: Regressors, space: ShapeSpace, gender: str, posedirs: Float[ndarray, "V 3 207"]
) -> BodyFile:
    """Put one body together.

    Args:
        mesh: what all bodies share.
        regressors: joint regressors of the mesh.
        space: mean and directions of the people this body stands for.
        gender: their name in the file.
        posedirs: metres that a vertex moves per entry of (rotation − identity) of joints 1–23.

    Returns:
        Float arrays in single precision.
    """
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
