"""The skin as one closed surface: eyes filled by the eyeballs, mouth closed by a membrane.

Anny's skin goes on into the mouth and behind the eyeballs, which are meshes of their own. Here those pockets
are turned inside out: every vertex becomes a fixed average of Anny's vertices, so whatever Anny does to a
body (shape, pose) carries over.

From Anny's rest pose to SMPL's T-pose, with Anny's own bones and skinning weights.

Each body is posed by its own bones, so that in every one the arms lie along x, elbows straight, palms down,
and the feet stand as they stood. The legs are turned as a whole: the line from hip to ankle is upright seen
from the side and leans outward a little seen from the front; the knee keeps Anny's slight bend.

The order of vertices and faces: SMPL's landmark ids in place, left side first.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from spinloop.freebody.anny import RestBodies, Source


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


# How MakeHuman's authors share the raising of an arm to its T-pose (their t-pose of this rig), degrees.
_CLAVICLE_DEG = 10.0
_SHOULDER_BLADE_DEG = 8.0
# Outward lean of the line from hip to ankle, degrees: feet a little wider than hips.
_LEG_LEAN_DEG = 2.0

_MIRROR = np.diag([-1.0, 1.0, 1.0])


def to_tpose(source: Source, bodies: RestBodies) -> RestBodies:
    """Pose bodies; the pelvis of each comes to the origin.

    Args:
        source: bones and weights.
        bodies: rest bodies of `source`, symmetric.

    Returns:
        The same bodies in the T-pose: skinned vertices and posed bone heads, metres.
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


def _world_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> Float[ndarray, "N B 3 3"]:
    """What turns each bone from rest to T-pose, in the body's frame; a bone not named follows its parent."""
    left = _arm_rotations(source, heads) | _leg_rotations(source, heads)
    identity = np.broadcast_to(np.eye(3), (len(heads), 3, 3))
    turned: list[Float[ndarray, "N 3 3"]] = []
    for name, parent in zip(source.bones, source.bone_parents, strict=True):
        twin = name.removesuffix(".R") + ".L"
        if name in left:
            turned.append(left[name])
        elif name.endswith(".R") and twin in left:
            turned.append(_MIRROR @ left[twin] @ _MIRROR)
        else:
            turned.append(turned[parent] if parent >= 0 else identity)
    return np.stack(turned, axis=1)


def _arm_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left arm: straight along +x, elbow opening forward, palm down, thumb forward."""

    def between(first: str, second: str) -> Float[ndarray, "N 3"]:
        return heads[:, source.bone(second)] - heads[:, source.bone(first)]

    upper, fore = between("upperarm01.L", "lowerarm01.L"), between("lowerarm01.L", "wrist.L")
    hinge = np.cross(upper, fore)
    hand, thumb_side = between("wrist.L", "finger3-1.L"), between("finger5-1.L", "finger2-1.L")
    along, down, forward = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
    wrist = _turn(hand, thumb_side, along, forward)
    elbow = _turn(fore, hinge, along, down)
    return {
        "clavicle.L": np.broadcast_to(_about_z(_CLAVICLE_DEG), (len(heads), 3, 3)),
        "shoulder01.L": np.broadcast_to(_about_z(_CLAVICLE_DEG + _SHOULDER_BLADE_DEG), (len(heads), 3, 3)),
        "upperarm01.L": _turn(upper, hinge, along, down),
        "lowerarm01.L": elbow,
        "lowerarm02.L": _half_twist(elbow, wrist) @ elbow,
        "wrist.L": wrist,
    }


def _leg_rotations(source: Source, heads: Float[ndarray, "N B 3"]) -> dict[str, Float[ndarray, "N 3 3"]]:
    """The left leg: one turn at the hip makes hip→ankle upright; the foot stays as it stood."""
    line = heads[:, source.bone("foot.L")] - heads[:, source.bone("upperleg01.L")]
    lean = np.deg2rad(_LEG_LEAN_DEG)
    target = np.array([np.sin(lean), -np.cos(lean), 0.0])
    forward = np.array([0.0, 0.0, 1.0])
    leg = _turn(line, np.broadcast_to(forward, line.shape), target, forward)
    return {"upperleg01.L": leg, "foot.L": np.broadcast_to(np.eye(3), leg.shape)}


def _turn(
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
    """Half of the turn about x that takes the forearm's frame towards the hand's."""
    quaternion = Rotation.from_matrix(end @ np.swapaxes(start, 1, 2)).as_quat()
    twist = 2 * np.arctan2(quaternion[:, 0], quaternion[:, 3])
    twist = (twist + np.pi) % (2 * np.pi) - np.pi
    return Rotation.from_euler("x", twist[:, None] / 2).as_matrix()


def _about_z(angle_deg: float) -> Float[ndarray, "3 3"]:
    return Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()


def _posed_heads(
    source: Source, heads: Float[ndarray, "N B 3"], rotations: Float[ndarray, "N B 3 3"]
) -> Float[ndarray, "N B 3"]:
    posed = heads.copy()
    for bone, parent in enumerate(source.bone_parents):
        if parent >= 0:
            offset = heads[:, bone] - heads[:, parent]
            posed[:, bone] = posed[:, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
    return posed


def number_vertices(is_right: Bool[ndarray, " V"], landmarks: dict[int, int]) -> Int[ndarray, " V"]:
    """The order that puts each landmark at its id; left side and midline come first, else the order stays.

    Args:
        is_right: vertices of the right half.
        landmarks: from final id to present index.

    Returns:
        The present index at each final id.

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
    """Faces in new vertex numbers, each beginning with its smallest id, sorted."""
    new_id = np.empty_like(order)
    new_id[order] = np.arange(len(order))
    renamed = new_id[faces]
    first = renamed.argmin(axis=1)
    turned = np.take_along_axis(renamed, (first[:, None] + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort(turned.T[::-1])]
