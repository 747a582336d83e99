"""Decimation of a symmetric closed mesh to an exact number of vertices by half-edge collapse.

One half is decimated and then flipped, so the result is exactly symmetric. A half-edge collapse moves a
vertex onto a neighbor, so the remaining vertices are a subset and keep their weights and shapes. The order of
collapses follows the quadric error, with a term for edge length that keeps triangles even.

Source: Garland and Heckbert, Surface simplification using quadric error metrics (SIGGRAPH 1997).
"""

import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

# Weight of squared edge length × area against the quadric error.
_EVENNESS = 3e-3
_MAX_VALENCE = 9
# Limits of a triangle after a collapse: cosine between old and new normal, and quality (0 … 1).
_MIN_NORMAL_COSINE = 0.4
_MIN_QUALITY = 0.08

Quadric = list[float]


class Decimated(NamedTuple):
    """The remaining mesh."""

    kept: Int[ndarray, " K"]
    """Vertices of the full mesh, ascending."""
    faces: Int[ndarray, "G 3"]
    """Indices into `kept`."""


def decimate_symmetric(
    vertices: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    flip: Int[ndarray, " V"],
    n_vertices: int,
    is_locked: Bool[ndarray, " V"],
    importance: Float[ndarray, " V"],
) -> Decimated:
    """Decimate a closed mesh that is symmetric in x = 0.

    Args:
        vertices: metres.
        faces: counter-clockwise seen from outside; no face crosses the midline.
        flip: the vertex on the other side; itself on the midline.
        n_vertices: how many to keep, even.
        is_locked: vertices that must stay, with their counterparts on the other side.
        importance: weight of the error at each vertex; 1 is normal.

    Returns:
        The kept vertices and the faces between them, again closed and symmetric.

    Raises:
        ValueError: the number cannot be reached without folding the mesh.
    """
    is_middle = flip == np.arange(len(vertices))
    is_left = (vertices[:, 0] > 0) & ~is_middle
    left_faces = faces[(is_left | is_middle)[faces].all(axis=1)]
    half = _Half(vertices, left_faces, is_middle, is_locked | is_locked[flip], importance)
    half.collapse(excess=len(vertices) - n_vertices)
    left = np.array(half.faces(), dtype=np.int64)
    both = np.concatenate([left, flip[left][:, ::-1]])
    kept = np.unique(both)
    return Decimated(kept, np.searchsorted(kept, both))


class _Half:
    """The left half of the mesh during decimation; the midline is its border."""

    def __init__(
        self,
        vertices: Float[ndarray, "V 3"],
        faces: Int[ndarray, "F 3"],
        is_middle: Bool[ndarray, " V"],
        is_locked: Bool[ndarray, " V"],
        importance: Float[ndarray, " V"],
    ):
        self._points = vertices
        self._coordinates = [tuple(point) for point in vertices.tolist()]
        self._is_middle = is_middle.tolist()
        self._is_locked = is_locked.tolist()
        self._faces: dict[int, tuple[int, int, int]] = {
            i: (a, b, c) for i, (a, b, c) in enumerate(faces.tolist())
        }
        self._around: dict[int, set[int]] = {}
        for index, face in self._faces.items():
            for vertex in face:
                self._around.setdefault(vertex, set()).add(index)
        self._neighbors = {vertex: self._ring(vertex) for vertex in self._around}
        self._quadrics, self._areas = _quadrics(vertices, faces, is_middle, importance)
        self._version = dict.fromkeys(self._around, 0)
        self._queue: list[tuple[float, int, int, int, int]] = []

    def faces(self) -> list[tuple[int, int, int]]:
        """The remaining faces."""
        return [self._faces[index] for index in sorted(self._faces)]

    def collapse(self, excess: int) -> None:
        """Remove `excess` vertices of the whole mesh: two with each collapse, one with one on the midline."""
        for vertex in sorted(self._neighbors):
            self._enqueue(vertex)
        while excess > 0:
            if not self._queue:
                raise ValueError(f"{excess} vertices too many remain: every further collapse folds the mesh")
            _, vertex, target, version, target_version = heapq.heappop(self._queue)
            if self._version.get(vertex) != version or self._version.get(target) != target_version:
                continue
            removed = 1 if self._is_middle[vertex] else 2
            if removed <= excess and self._is_allowed(vertex, target):
                self._merge(vertex, target)
                excess -= removed

    def _enqueue(self, vertex: int) -> None:
        for target in sorted(self._neighbors[vertex]):
            self._push(vertex, target)

    def _cost(self, vertex: int, target: int) -> float:
        x, y, z = self._coordinates[target]
        a, b, c, d, e, f, g, h, i, j = (
            p + q for p, q in zip(self._quadrics[vertex], self._quadrics[target], strict=True)
        )
        error = (
            a * x * x
            + d * y * y
            + f * z * z
            + 2 * (b * x * y + c * x * z + e * y * z + g * x + h * y + i * z)
            + j
        )
        length = sum(
            (p - q) ** 2 for p, q in zip(self._coordinates[vertex], self._coordinates[target], strict=True)
        )
        return error + _EVENNESS * length * (self._areas[vertex] + self._areas[target])

    def _is_allowed(self, vertex: int, target: int) -> bool:
        mine, theirs = self._neighbors[vertex], self._neighbors[target]
        common = mine & theirs
        is_border = self._is_middle[vertex] and self._is_middle[target]
        if len(common) != (1 if is_border else 2):
            return False
        if self._is_middle[target] and not is_border:
            # A new edge between two vertices of the midline would occur twice in the whole mesh.
            if any(self._is_middle[w] and w != target and w not in theirs for w in mine):
                return False
        if len(mine | theirs) - 2 > _MAX_VALENCE or any(len(self._neighbors[w]) <= 4 for w in common):
            return False
        return self._keeps_orientation(vertex, target)

    def _keeps_orientation(self, vertex: int, target: int) -> bool:
        moved = [self._faces[i] for i in sorted(self._around[vertex]) if target not in self._faces[i]]
        if not moved:
            return False
        before = self._points[np.array(moved)]
        after = self._points[np.array([[target if v == vertex else v for v in face] for face in moved])]
        old, new = _normals(before), _normals(after)
        old_size, new_size = np.linalg.norm(old, axis=1), np.linalg.norm(new, axis=1)
        perimeter = (np.linalg.norm(after - np.roll(after, 1, axis=1), axis=2) ** 2).sum(axis=1)
        quality = 2 * np.sqrt(3) * new_size / perimeter
        cosine = (old * new).sum(axis=1) / np.maximum(old_size * new_size, 1e-30)
        return bool((quality > _MIN_QUALITY).all() and (cosine > _MIN_NORMAL_COSINE).all())

    def _merge(self, vertex: int, target: int) -> None:
        for index in sorted(self._around.pop(vertex)):
            face = self._faces.pop(index)
            for other in face:
                if other != vertex:
                    self._around[other].discard(index)
            if target not in face:
                a, b, c = (target if v == vertex else v for v in face)
                self._faces[index] = (a, b, c)
                for other in (a, b, c):
                    self._around[other].add(index)
        self._quadrics[target] = [
            p + q for p, q in zip(self._quadrics[vertex], self._quadrics[target], strict=True)
        ]
        self._areas[target] += self._areas[vertex]
        ring = self._neighbors.pop(vertex)
        del self._version[vertex]
        for other in sorted(ring):
            self._neighbors[other] = self._ring(other)
            self._version[other] += 1
        for other in sorted(ring):
            self._enqueue(other)
            for outer in sorted(self._neighbors[other] - ring):
                self._push(outer, other)

    def _push(self, vertex: int, target: int) -> None:
        if self._is_locked[vertex] or (self._is_middle[vertex] and not self._is_middle[target]):
            return
        entry = (self._cost(vertex, target), vertex, target, self._version[vertex], self._version[target])
        heapq.heappush(self._queue, entry)

    def _ring(self, vertex: int) -> set[int]:
        return {other for index in self._around[vertex] for other in self._faces[index]} - {vertex}


def _normals(triangles: Float[ndarray, "F 3 3"]) -> Float[ndarray, "F 3"]:
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def _quadrics(
    vertices: Float[ndarray, "V 3"],
    faces: Int[ndarray, "F 3"],
    is_middle: Bool[ndarray, " V"],
    importance: Float[ndarray, " V"],
) -> tuple[list[Quadric], list[float]]:
    """Per vertex: the ten numbers of its quadric and its area, both weighted by importance."""
    normals = _normals(vertices[faces])
    size = np.maximum(np.linalg.norm(normals, axis=1), 1e-30)
    unit = normals / size[:, None]
    plane = np.concatenate([unit, -(unit * vertices[faces[:, 0]]).sum(axis=1, keepdims=True)], axis=1)
    rows, columns = np.triu_indices(4)
    # Upper triangle by rows (xx xy xz xw yy yz yw zz zw ww) in the order that `_cost` reads.
    products = (plane[:, rows] * plane[:, columns])[:, [0, 1, 2, 4, 5, 7, 3, 6, 8, 9]]
    quadrics, areas = np.zeros((len(vertices), 10)), np.zeros(len(vertices))
    for corner in range(3):
        share = size / 6 * importance[faces[:, corner]]
        np.add.at(quadrics, faces[:, corner], products * share[:, None])
        np.add.at(areas, faces[:, corner], share)
    # On the midline the other half counts too.
    factor = np.where(is_middle, 2.0, 1.0)
    return (quadrics * factor[:, None]).tolist(), (areas * factor).tolist()
