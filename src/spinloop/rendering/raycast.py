"""Ray casting: the face that the ray through the middle of every pixel hits first, where, and at what depth.

All rays start at the center of projection, so every face is tested only on the few pixels that its projection
can cover, and the nearest hit is kept. The result is that of a ray tracer (the tests compare it with Embree),
without a search tree.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64, Num

NO_FACE = -1
NEAR_M = 0.1
_CANDIDATES_AT_ONCE = 1 << 20
_EMPTY = np.iinfo(np.int64).max
# Tolerance of barycentric weights, so that rounding leaves no cracks between faces that share an edge.
_EDGE = 1e-6


class Buffers(NamedTuple):
    """The first hit of the ray of each pixel."""

    face_index: Int32[np.ndarray, "H W"]
    """Row of `faces`; −1 where there is no hit."""
    depth: Float32[np.ndarray, "H W"]
    """Metres along the camera's z axis; infinite where there is no hit."""
    barycentric: Float32[np.ndarray, "H W 3"]
    """Weights of the three corners at the hit, in space (not on the image); 0 where there is no hit."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit normal of the flat face, towards the camera, camera axes; 0 where there is no hit."""

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """True where the ray hits a face."""
        return self.face_index != NO_FACE


class _Footprints(NamedTuple):
    """The pixels that each face may cover, and the quantities that are linear over them."""

    face: Int64[np.ndarray, " N"]
    """Row of `faces`; faces that can cover no pixel are not listed."""
    first: Int64[np.ndarray, "2 N"]
    """x and y of the first pixel of its box."""
    extent: Int64[np.ndarray, "2 N"]
    """Width and height of its box, pixels."""
    planes: Float64[np.ndarray, "3 3 N"]
    """The weight of corner 1, that of corner 2 and the inverse depth: at the first pixel, per pixel to the
    right, per pixel downwards."""


def render(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    focal_px: float,
    center_px: Sequence[float] | Num[np.ndarray, " 2"],
    size: tuple[int, int],
    is_closed: bool = False,
) -> Buffers:
    """Cast one ray through the middle of every pixel.

    Args:
        vertices: metres, camera axes (x right, y down, z away).
        faces: corner indices; both sides of a face are rendered. A face with a corner nearer than 0.1 m, or
            behind the camera, is left out whole.
        focal_px: focal length, the same on both axes.
        center_px: principal point (x, y); the middle of the top left pixel is (0.5, 0.5).
        size: height and width of the image.
        is_closed: the mesh is closed, its corners run counter-clockwise seen from outside and the camera is
            outside: faces that look away are then hidden by others and are skipped. Faster.

    Returns:
        Buffers of that size. Of two faces at the same depth (a shared edge) the one with the lower index
        wins.
    """
    height, width = size
    faces = np.asarray(faces)
    footprints = _footprints(
        vertices, faces, focal_px, np.asarray(center_px, dtype=np.float64), size, is_closed
    )
    nearest = np.full(height * width, _EMPTY)
    for block in _blocks(footprints.extent):
        pixel, inverse_depth, row = _inside(footprints, block, width)
        # The bits of positive floats order as the floats do: one integer compares depth, then the face.
        depth_bits = (1.0 / inverse_depth).astype(np.float32).view(np.int32).astype(np.int64)
        np.minimum.at(nearest, pixel, depth_bits << 32 | row)
    hit = np.flatnonzero(nearest != _EMPTY)
    return _buffers(vertices, faces, footprints, hit, nearest[hit] & 0xFFFFFFFF, size)


def project_points(
    points: Num[np.ndarray, "N 3"], focal_px: float, center_px: Sequence[float] | Num[np.ndarray, " 2"]
) -> Float64[np.ndarray, "N 2"]:
    """Pixels at which the camera of `render` sees points (metres, camera axes)."""
    return focal_px * points[:, :2] / points[:, 2:] + center_px


def _footprints(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    focal_px: float,
    center_px: Float64[np.ndarray, " 2"],
    size: tuple[int, int],
    is_closed: bool,
) -> _Footprints:
    points = np.asarray(vertices, dtype=np.float64)
    in_front = points[:, 2] >= NEAR_M
    inverse = 1.0 / np.where(in_front, points[:, 2], 1.0)
    image = (points[:, :2] * (focal_px * inverse[:, None]) + center_px).T
    corners = image[:, faces.T]  # (2, 3, F)
    limits = np.array([[size[1]], [size[0]]])
    # Pixel i is covered only if its middle i + 0.5 lies between the extremes.
    first = np.clip(np.ceil(corners.min(1) - 0.5), 0, limits).astype(np.int64)
    last = np.clip(np.floor(corners.max(1) - 0.5), -1, limits - 1).astype(np.int64)
    area = _cross(corners)
    # y runs down: a face whose corners run counter-clockwise to the eye has a negative area.
    is_front = (area < 0) if is_closed else (area != 0)
    usable = np.flatnonzero(is_front & (last >= first).all(0) & in_front[faces].all(1))
    corners, first = corners[..., usable], first[:, usable]
    planes = _planes(corners, inverse[faces[usable].T], first + 0.5)
    return _Footprints(usable, first, last[:, usable] - first + 1, planes)


def _cross(corners: Float64[np.ndarray, "2 3 N"]) -> Float64[np.ndarray, " N"]:
    """Twice the signed area of each triangle."""
    (ax, bx, cx), (ay, by, cy) = corners
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


def _planes(
    corners: Float64[np.ndarray, "2 3 N"],
    inverse_depth: Float64[np.ndarray, "3 N"],
    start: Float64[np.ndarray, "2 N"],
) -> Float64[np.ndarray, "3 3 N"]:
    """Value at `start`, and slopes along x and y, of two barycentric weights and of the inverse depth."""
    (ax, bx, cx), (ay, by, cy) = corners
    area = _cross(corners)
    slope1 = np.stack([(cy - ay) / area, (ax - cx) / area])
    slope2 = np.stack([(ay - by) / area, (bx - ax) / area])
    offset = start - corners[:, 0]
    weight1, weight2 = (slope1 * offset).sum(0), (slope2 * offset).sum(0)
    steps = inverse_depth[1:] - inverse_depth[0]
    depth = inverse_depth[0] + steps[0] * weight1 + steps[1] * weight2
    slope_depth = steps[0] * slope1 + steps[1] * slope2
    return np.stack(
        [np.stack([weight1, *slope1]), np.stack([weight2, *slope2]), np.stack([depth, *slope_depth])]
    )


def _blocks(extent: Int64[np.ndarray, "2 N"]) -> Iterator[Int64[np.ndarray, " M"]]:
    """Footprints in groups whose candidate pixels fit in memory together."""
    group = np.cumsum(extent[0] * extent[1]) // _CANDIDATES_AT_ONCE
    yield from np.split(np.arange(extent.shape[1]), np.flatnonzero(np.diff(group)) + 1)


def _inside(
    footprints: _Footprints, block: Int64[np.ndarray, " M"], width: int
) -> tuple[Int64[np.ndarray, " N"], Float64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Pixels whose middle lies in a face of the block (its edge included).

    Returns:
        The flat pixel, the inverse depth there, and the row of the footprint.
    """
    total = footprints.extent[:, block].prod(0)
    row = np.repeat(block, total)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(total) - total, total)
    down, right = np.divmod(offset, footprints.extent[0, row])
    weight1, weight2 = (_at(plane[:, row], right, down) for plane in footprints.planes[:2])
    inside = np.flatnonzero((weight1 >= -_EDGE) & (weight2 >= -_EDGE) & (weight1 + weight2 <= 1 + _EDGE))
    row, right, down = row[inside], right[inside], down[inside]
    pixel = (footprints.first[1, row] + down) * width + footprints.first[0, row] + right
    return pixel, _at(footprints.planes[2][:, row], right, down), row


def _at(
    plane: Float64[np.ndarray, "3 N"], right: Int64[np.ndarray, " N"], down: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, " N"]:
    return plane[0] + plane[1] * right + plane[2] * down


def _buffers(
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    footprints: _Footprints,
    pixel: Int64[np.ndarray, " N"],
    row: Int64[np.ndarray, " N"],
    size: tuple[int, int],
) -> Buffers:
    right = pixel % size[1] - footprints.first[0, row]
    down = pixel // size[1] - footprints.first[1, row]
    weight1, weight2, inverse = (_at(plane[:, row], right, down) for plane in footprints.planes)
    face = footprints.face[row]
    corners = np.asarray(vertices, dtype=np.float64)[faces[face]]
    over_depth = np.stack([1 - weight1 - weight2, weight1, weight2], axis=1) / corners[..., 2]
    return Buffers(
        scatter(face.astype(np.int32), pixel, size, NO_FACE),
        scatter((1.0 / inverse).astype(np.float32), pixel, size, np.inf),
        scatter((over_depth / inverse[:, None]).astype(np.float32), pixel, size, 0.0),
        scatter(_normals(corners).astype(np.float32), pixel, size, 0.0),
    )


def _normals(corners: Float64[np.ndarray, "N 3 3"]) -> Float64[np.ndarray, "N 3"]:
    """Unit normals of faces, towards the camera."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    away = np.einsum("ni,ni->n", normal, corners[:, 0]) > 0
    return np.where(away[:, None], -normal, normal)


def scatter(
    values: Num[np.ndarray, "N ..."],
    pixel: Int64[np.ndarray, " N"],
    size: tuple[int, int],
    empty: float | int,
) -> Num[np.ndarray, "H W ..."]:
    """An image with `values` at flat pixels and `empty` elsewhere."""
    full = np.full((size[0] * size[1], *values.shape[1:]), empty, dtype=values.dtype)
    full[pixel] = values
    return full.reshape(*size, *values.shape[1:])
