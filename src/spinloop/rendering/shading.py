"""Brightness of a mesh: smooth normals, a distant lamp with ambient light, supersampling."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from spinloop.rendering.raycast import Buffers, render


class Light(NamedTuple):
    """A distant lamp and ambient light."""

    direction: Float[np.ndarray, " 3"]
    """Unit vector from the scene towards the lamp, camera axes."""
    ambient: float
    """Share of the light that reaches every surface, in [0, 1]; the lamp gives the rest."""


# Above the camera's left shoulder, as portrait photographers place it.
HEADLIGHT = Light(np.array([-0.35, -0.55, -0.76]), 0.35)


def vertex_normals(
    vertices: Num[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Unit normals of vertices, averaged over faces by area; 0 at a vertex without faces.

    They point to the side from which the corners of the faces run counter-clockwise.
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
    reflect light. A normal that points away from the camera is negated, so open meshes are lit on both sides.

    Args:
        normals: unit vectors, camera axes.
        points: positions of the normals, metres, camera axes.
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


# Rays per pixel along each axis, against jagged outlines.
_SUPERSAMPLING = 2


def shaded(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    focal_px: float,
    center_px: Sequence[float] | Num[np.ndarray, " 2"],
    size: tuple[int, ...],
    light: Light = HEADLIGHT,
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Brightness (already multiplied by coverage) and coverage of every pixel, both in [0, 1]."""
    fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    center = np.asarray(center_px, dtype=np.float64) * _SUPERSAMPLING
    buffers = render(vertices, faces, focal_px * _SUPERSAMPLING, center, fine)
    return downsample(shade(vertices, faces, buffers, light), _SUPERSAMPLING), downsample(
        buffers.mask.astype(np.float64), _SUPERSAMPLING
    )


def downsample(image: Float[np.ndarray, "..."], factor: int) -> Float[np.ndarray, "..."]:
    """Mean of each square of `factor` × `factor` pixels; the first two axes must be multiples of it."""
    total = np.zeros((image.shape[0] // factor, image.shape[1] // factor, *image.shape[2:]))
    for down, right in product(range(factor), repeat=2):
        total += image[down::factor, right::factor]
    return total / factor**2
