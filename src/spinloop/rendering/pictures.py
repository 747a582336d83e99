"""Pictures of bodies for people to look at: shading, bodies on photographs and crops, joints, text."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, Num, UInt8

from spinloop.geometry.crop import CROP_PX, FOCAL_PX
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


Color = tuple[float, float, float]
"""RGB in [0, 1]."""
Color8 = tuple[int, int, int]
"""RGB in 0 to 255."""
SKY_BLUE: Color = (0.36, 0.60, 0.86)
BLACK: Color8 = (0, 0, 0)
WHITE: Color8 = (255, 255, 255)
_DARK_GRAY: Color8 = (40, 40, 40)
# A body reaches further than the box around its joints.
_BOX_REACH = 1.4
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
LABEL_PX = 24
"""Height that `label` needs."""


def overlay(
    image: UInt8[np.ndarray, "H W 3"],
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    focal_px: float,
    center_px: Sequence[float] | Num[np.ndarray, " 2"],
    alpha: float = 0.85,
    color: Color = SKY_BLUE,
    light: Light = HEADLIGHT,
) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph with a shaded mesh on it.

    Args:
        image: RGB.
        vertices: metres, camera axes.
        faces: corner indices.
        focal_px: focal length, pixels of this image.
        center_px: principal point (x, y), pixels of this image.
        alpha: opacity of the mesh, 0 (only the photograph) to 1 (only the mesh).
        color: of the mesh in full light.
        light: the lamp.
    """
    brightness, coverage = shaded(vertices, faces, focal_px, center_px, image.shape[:2], light)
    paint = brightness[..., None] * (255.0 * np.asarray(color))
    opacity = alpha * coverage[..., None]
    # `paint` is already multiplied by coverage where the outline cuts a pixel.
    blended = image * (1 - opacity) + alpha * paint
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def overlay_in_box(
    image: UInt8[np.ndarray, "H W 3"],
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    center: Float[np.ndarray, " 2"],
    side_px: float,
    alpha: float = 0.85,
    color: Color = SKY_BLUE,
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a body on it, seen by the camera of the 224 px crop of a person's box.

    Pixels further than 0.7 sides from the middle of the box stay as they are.

    Args:
        image: RGB; a photograph, or a crop of any size.
        vertices: metres, axes of the crop's camera, the translation added.
        faces: corner indices.
        center: middle of the box, pixels of this image; of a crop its own middle.
        side_px: side of the box, pixels of this image.
        alpha: opacity of the body.
        color: of the body in full light.
    """
    low = np.maximum(np.floor(center - _BOX_REACH * side_px / 2), 0).astype(int)
    high = np.maximum(np.ceil(center + _BOX_REACH * side_px / 2), 0).astype(int)
    region = slice(low[1], high[1]), slice(low[0], high[0])
    picture = image.copy()
    if picture[region].size:
        focal_px = FOCAL_PX * side_px / CROP_PX
        picture[region] = overlay(image[region], vertices, faces, focal_px, center - low, alpha, color)
    return picture


def overlay_on_crop(
    image: UInt8[np.ndarray, "S S 3"],
    vertices: Num[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    alpha: float = 0.85,
    color: Color = SKY_BLUE,
) -> UInt8[np.ndarray, "S S 3"]:
    """The crop of a person's box, of any size, with the body on it; arguments as in `overlay_in_box`."""
    side = float(image.shape[0])
    return overlay_in_box(image, vertices, faces, np.full(2, side / 2), side, alpha, color)


def draw_joints(
    image: UInt8[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "J 2"],
    radius_px: int,
    colors: Sequence[Color8],
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a dot on every joint.

    Args:
        image: RGB.
        pixels: x and y; whole numbers are corners of pixels.
        radius_px: of a dot; its black rim is a pixel wider.
        colors: one for each joint.
    """
    picture = image.copy()
    for place, color in zip(pixels, colors, strict=True):
        cv2.circle(picture, to_pixel(place), radius_px + 1, BLACK, -1, cv2.LINE_AA)
        cv2.circle(picture, to_pixel(place), radius_px, color, -1, cv2.LINE_AA)
    return picture


def draw_text(
    image: UInt8[np.ndarray, "H W 3"],
    text: str,
    corner: Float[np.ndarray, " 2"],
    color: Color8 = _DARK_GRAY,
    outline: Color8 = WHITE,
    scale: float = FONT_SCALE,
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a line of text, outlined so that it can be read on any ground.

    Args:
        image: RGB.
        text: ASCII.
        corner: x and y of the text's lower left corner.
        color: of the letters.
        outline: color around them.
        scale: of OpenCV's plain font.
    """
    picture = image.copy()
    for ink, thickness in ((outline, 3), (color, 1)):
        cv2.putText(picture, text, to_pixel(corner), FONT, scale, ink, thickness, cv2.LINE_AA)
    return picture


def label(image: UInt8[np.ndarray, "H W 3"], text: str) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a line of text in its upper left corner."""
    return draw_text(image, text, np.array([6.0, LABEL_PX - 6.0]))


def contact_sheet(
    rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]], gap_px: int = 0
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures beside and below each other, with white gaps.

    Args:
        rows: pictures of one row are equally high, and rows are equally wide.
        gap_px: width of the gaps.
    """
    return _join([_join(row, 1, gap_px) for row in rows], 0, gap_px)


def _join(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], axis: int, gap_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    shape = list(images[0].shape)
    shape[axis] = gap_px
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=axis)


def to_pixel(place: Float[np.ndarray, " 2"]) -> tuple[int, int]:
    """Column and row of the pixel that holds a point; points far outside are moved nearer for OpenCV."""
    x, y = np.clip(np.floor(place), -10_000, 10_000)
    return int(x), int(y)
