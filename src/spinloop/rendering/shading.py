"""Light on a mesh: smooth normals and a lamp with ambient light."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from spinloop.rendering.raycast import Buffers


class Light(NamedTuple):
    """A distant lamp and the light that comes from everywhere."""

    direction: Float[np.ndarray, " 3"]
    """Unit vector from the scene towards the lamp, camera axes."""
    ambient: float
    """Share of the light that reaches every surface, in [0, 1]; the lamp gives the rest."""


# Above the camera's left shoulder, as portrait photographers place it.
HEADLIGHT = Light(np.array([-0.35, -0.55, -0.76]), 0.35)


def vertex_normals(
    vertices: Num[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Unit normals of vertices, each face counted by its area; 0 at a vertex without faces.

    They point to the side from which the faces' corners run counter-clockwise.
    """
    corners = vertices[faces]
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    columns = [
        np.bincount(faces.ravel(), np.repeat(weighted[:, axis], 3), len(vertices)) for axis in range(3)
    ]
    normals = np.stack(columns, axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(length > 0, length, 1.0)


def interpolate(
    values: Num[np.ndarray, "V C"], corners: Int[np.ndarray, "N 3"], barycentric: Num[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N C"]:
    """Values of vertices at points of faces."""
    first, second, third = (barycentric[:, k, None] * values[corners[:, k]] for k in range(3))
    return first + second + third


def lambert(
    normals: Float[np.ndarray, "N 3"], points: Num[np.ndarray, "N 3"], light: Light
) -> Float[np.ndarray, " N"]:
    """Brightness of a matte surface in [0, 1].

    The lamp's part falls off over the whole sphere instead of the half (wrapped), as in a room whose walls
    throw light back. A normal that points away from the camera is turned: open meshes are lit on both sides.

    Args:
        normals: unit vectors, camera axes.
        points: where they stand, metres, camera axes.
        light: the lamp.
    """
    facing = np.where(np.einsum("ni,ni->n", normals, points) > 0, -1.0, 1.0)
    cosine = facing * (normals @ light.direction)
    return light.ambient + (1 - light.ambient) * np.clip((cosine + 0.3) / 1.3, 0.0, 1.0)


def shade(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    buffers: Buffers,
    light: Light = HEADLIGHT,
) -> Float[np.ndarray, "H W"]:
    """Brightness of every pixel under smooth shading, in [0, 1]; 0 where no face is seen."""
    seen = buffers.mask
    corners = faces[buffers.face_index[seen]]
    barycentric = buffers.barycentric[seen]
    normals = interpolate(vertex_normals(vertices, faces), corners, barycentric)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    points = interpolate(vertices, corners, barycentric)
    image = np.zeros(seen.shape)
    image[seen] = lambert(normals, points, light)
    return image
