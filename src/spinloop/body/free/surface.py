"""The skin as one closed surface: eyes filled by the eyeballs, mouth closed by a membrane.

Anny's skin goes on into the mouth and behind the eyeballs, which are meshes of their own. Here those pockets
are turned inside out: every vertex becomes a fixed average of Anny's vertices, so whatever Anny does to a
body (shape, pose) carries over.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve

from spinloop.body.free.source import Source


class Skin(NamedTuple):
    """A closed surface whose vertices are averages of Anny's."""

    average: sparse.csr_array
    """(S, V): rows are non-negative and sum to one; skin vertex from Anny's vertices."""
    faces: Int[ndarray, "F 3"]
    mirror: Int[ndarray, " S"]
    """The skin vertex on the other side."""
    anny_vertex: Int[ndarray, " S"]
    """Which of Anny's vertices each skin vertex is (before pockets were filled)."""
    is_pocket: Bool[ndarray, " S"]
    """Vertices of the filled mouth and eyes."""


def closed_skin(source: Source, vertices: Float[ndarray, "V 3"]) -> Skin:
    """Take the skin out of Anny's mesh and fill its pockets.

    Args:
        source: Anny.
        vertices: a typical body in the T-pose, on which the filling is measured, metres.

    Returns:
        The skin; all of its vertices are kept.

    Raises:
        ValueError: the skin is not a closed surface without holes or handles.
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
    seen = np.unique(faces[~is_hidden_face[is_skin_face]])
    is_pocket = np.ones(len(kept), dtype=bool)
    is_pocket[seen] = False
    to_anny = sparse.csr_array(
        (np.ones(len(kept)), (np.arange(len(kept)), kept)), shape=(len(kept), len(vertices))
    )
    average = sparse.lil_array(_membrane(faces, is_pocket) @ to_anny)
    for side in ("L", "R"):
        _lay_on_eyeball(average, source, vertices, np.flatnonzero(is_pocket), side)
    return Skin(average.tocsr(), faces, new_index[source.mirror[kept]], kept, is_pocket)


def _largest_component(faces: Int[ndarray, "F 3"], n_vertices: int) -> Int[ndarray, " S"]:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_array((np.ones(len(edges)), edges.T), shape=(n_vertices, n_vertices))
    labels = csgraph.connected_components(graph, directed=False)[1]
    return np.flatnonzero(labels == np.bincount(labels).argmax())


def _require_sphere(faces: Int[ndarray, "F 3"], n_vertices: int) -> None:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    if (counts != 2).any() or n_vertices - len(unique) + len(faces) != 2:
        raise ValueError(
            "the skin is not a closed surface of genus 0; is this the Anny version that is pinned?"
        )


def _membrane(faces: Int[ndarray, "F 3"], is_free: Bool[ndarray, " S"]) -> sparse.csr_array:
    """Each free vertex as the average that stretches a film over its pocket's rim; the others stay."""
    n_vertices = len(is_free)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
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


def _lay_on_eyeball(
    average: sparse.lil_array,
    source: Source,
    vertices: Float[ndarray, "V 3"],
    pocket: Int[ndarray, " P"],
    side: str,
) -> None:
    """Move the pocket's vertices that lie inside the eyeball out to its surface, away from its center."""
    faces = source.faces[
        np.concatenate([source.regions[f"eye_front.{side}"], source.regions[f"eye_back.{side}"]])
    ]
    ball = np.unique(faces)
    center = vertices[ball].mean(axis=0)
    radius = np.linalg.norm(vertices[ball] - center, axis=1).max()
    film = average.tocsr()[pocket] @ vertices - center
    is_near = np.linalg.norm(film, axis=1) < 1.5 * radius
    for vertex, ray in zip(pocket[is_near], film[is_near], strict=True):
        face, coordinates = _hit(vertices[faces] - center, ray)
        if coordinates.sum() < 1.0:
            average[vertex, :] = 0.0
            average[vertex, faces[face]] = coordinates / coordinates.sum()


def _hit(triangles: Float[ndarray, "F 3 3"], ray: Float[ndarray, " 3"]) -> tuple[int, Float[ndarray, " 3"]]:
    """The triangle about the origin that a ray leaves through, and the ray's end as a sum of its corners.

    The coordinates sum to less than one where the ray ends inside the ball.
    """
    coordinates = np.linalg.solve(
        np.swapaxes(triangles, 1, 2), np.broadcast_to(ray, (len(triangles), 3))[..., None]
    )
    face = int(coordinates[..., 0].min(axis=1).argmax())
    return face, coordinates[face, :, 0]
