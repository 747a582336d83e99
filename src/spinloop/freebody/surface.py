"""The skin as one closed surface, and the order of its vertices and faces.

Anny's skin goes on into the mouth and behind the eyeballs, which are separate meshes. Here each vertex of
those pockets becomes a fixed average of other vertices of Anny, so the surface follows every shape and pose
of Anny.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve

from spinloop.freebody.anny import AnnySource, face_edges


class Skin(NamedTuple):
    """A closed surface whose vertices are averages of Anny's."""

    average: sparse.csr_array
    """(S, V): rows are non-negative and sum to one; skin vertex from Anny's vertices."""
    faces: Int[ndarray, "F 3"]
    flip: Int[ndarray, " S"]
    """The skin vertex on the other side."""
    anny_vertex: Int[ndarray, " S"]
    """Index of each skin vertex among Anny's vertices."""
    is_pocket: Bool[ndarray, " S"]
    """Whether the vertex belongs to the filled mouth or eyes."""


def closed_skin(source: AnnySource, vertices: Float[ndarray, "V 3"]) -> Skin:
    """Anny's skin with all of its vertices, eyes filled by the eyeballs and the mouth by a membrane.

    Args:
        source: Anny.
        vertices: the mean body in the T-pose, on which the filling is computed, metres.

    Raises:
        ValueError: the skin is not a closed surface of genus 0.
    """
    kept = _largest_component(source.faces, len(vertices))
    new_index = np.full(len(vertices), -1)
    new_index[kept] = np.arange(len(kept))
    is_skin_face = new_index[source.faces].min(axis=1) >= 0
    faces = new_index[source.faces[is_skin_face]]
    _require_sphere(faces, len(kept))
    is_hidden_face = np.zeros(len(source.faces), dtype=bool)
    for region in ("mouth_cavity", "eye_cavity.L", "eye_cavity.R"):
        is_hidden_face[source.regions[region]] = True
    outer = np.unique(faces[~is_hidden_face[is_skin_face]])
    is_pocket = np.ones(len(kept), dtype=bool)
    is_pocket[outer] = False
    to_anny = sparse.csr_array(
        (np.ones(len(kept)), (np.arange(len(kept)), kept)), shape=(len(kept), len(vertices))
    )
    average = sparse.lil_array(_membrane(faces, is_pocket) @ to_anny)
    for side in ("L", "R"):
        _project_onto_eyeball(average, source, vertices, np.flatnonzero(is_pocket), side)
    return Skin(average.tocsr(), faces, new_index[source.flip[kept]], kept, is_pocket)


def _largest_component(faces: Int[ndarray, "F 3"], n_vertices: int) -> Int[ndarray, " S"]:
    edges = face_edges(faces)
    graph = sparse.coo_array((np.ones(len(edges)), edges.T), shape=(n_vertices, n_vertices))
    labels = csgraph.connected_components(graph, directed=False)[1]
    return np.flatnonzero(labels == np.bincount(labels).argmax())


def _require_sphere(faces: Int[ndarray, "F 3"], n_vertices: int) -> None:
    edges = np.sort(face_edges(faces), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    if (counts != 2).any() or n_vertices - len(unique) + len(faces) != 2:
        raise ValueError(
            "Anny's skin is not a closed surface of genus 0; install the version of anny that is pinned"
        )


def _membrane(faces: Int[ndarray, "F 3"], is_free: Bool[ndarray, " S"]) -> sparse.csr_array:
    """Each free vertex as the harmonic average of the rim of its pocket; the others stay."""
    n_vertices = len(is_free)
    edges = face_edges(faces)
    edges = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sparse.coo_array((np.ones(len(edges)), edges.T), shape=(n_vertices, n_vertices)).tocsr()
    adjacency.data[:] = 1.0
    free, fixed = np.flatnonzero(is_free), np.flatnonzero(~is_free)
    degree = sparse.diags_array(adjacency.sum(axis=1)).tocsr()
    laplacian = degree - adjacency
    rim = fixed[adjacency[free][:, fixed].sum(axis=0) > 0]
    weights = spsolve(laplacian[free][:, free].tocsc(), adjacency[free][:, rim].tocsc())
    filled = sparse.lil_array((n_vertices, n_vertices))
    filled[fixed, fixed] = 1.0
    rows = sparse.coo_array(weights)
    filled[free[rows.row], rim[rows.col]] = rows.data
    return filled.tocsr()


def _project_onto_eyeball(
    average: sparse.lil_array,
    source: AnnySource,
    vertices: Float[ndarray, "V 3"],
    pocket: Int[ndarray, " P"],
    side: str,
) -> None:
    """Move vertices of the pocket that lie inside the eyeball away from its center onto its surface."""
    faces = source.faces[
        np.concatenate([source.regions[f"eye_front.{side}"], source.regions[f"eye_back.{side}"]])
    ]
    ball = np.unique(faces)
    center = vertices[ball].mean(axis=0)
    radius = np.linalg.norm(vertices[ball] - center, axis=1).max()
    membrane = average.tocsr()[pocket] @ vertices - center
    is_near = np.linalg.norm(membrane, axis=1) < 1.5 * radius
    for vertex, ray in zip(pocket[is_near], membrane[is_near], strict=True):
        face, coordinates = _hit(vertices[faces] - center, ray)
        if coordinates.sum() < 1.0:
            average[vertex, :] = 0.0
            average[vertex, faces[face]] = coordinates / coordinates.sum()


def _hit(triangles: Float[ndarray, "F 3 3"], ray: Float[ndarray, " 3"]) -> tuple[int, Float[ndarray, " 3"]]:
    """The triangle that a ray from the origin crosses, and the end of the ray in the basis of its corners.

    The coordinates sum to less than one where the ray ends inside the ball.
    """
    coordinates = np.linalg.solve(
        np.swapaxes(triangles, 1, 2), np.broadcast_to(ray, (len(triangles), 3))[..., None]
    )
    face = int(coordinates[..., 0].min(axis=1).argmax())
    return face, coordinates[face, :, 0]


def number_vertices(is_right: Bool[ndarray, " V"], landmarks: dict[int, int]) -> Int[ndarray, " V"]:
    """The order that puts each landmark at its id, then left side and midline, then the right side.

    Args:
        is_right: vertices of the right half.
        landmarks: final id → present index.

    Returns:
        Present index of each final id.

    Raises:
        ValueError: two landmarks are the same vertex.
    """
    if len(set(landmarks.values())) != len(landmarks):
        raise ValueError("two landmarks fall on the same vertex")
    order = np.full(len(is_right), -1)
    order[list(landmarks)] = list(landmarks.values())
    others = np.setdiff1d(np.arange(len(is_right)), list(landmarks.values()))
    order[order < 0] = others[np.argsort(is_right[others], kind="stable")]
    return order


def number_faces(faces: Int[ndarray, "F 3"], order: Int[ndarray, " V"]) -> Int[ndarray, "F 3"]:
    """Faces in new vertex numbers, each starting with its smallest id, sorted."""
    new_id = np.empty_like(order)
    new_id[order] = np.arange(len(order))
    renamed = new_id[faces]
    first = renamed.argmin(axis=1)
    rotated = np.take_along_axis(renamed, (first[:, None] + np.arange(3)) % 3, axis=1)
    return rotated[np.lexsort(rotated.T[::-1])]
