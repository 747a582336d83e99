"""A shaded mesh laid over a photograph."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Float, Int, Num, UInt8

from spinloop.rendering.raycast import render
from spinloop.rendering.shading import HEADLIGHT, Light, shade

# Rays per pixel along each axis: enough that outlines do not look like stairs.
_SUPERSAMPLING = 2
Color = tuple[float, float, float]
SKY_BLUE: Color = (0.36, 0.60, 0.86)


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
    """The photograph with the mesh drawn on it.

    Args:
        image: RGB.
        vertices: metres, camera axes.
        faces: corner indices.
        focal_px: focal length, pixels of this image.
        center_px: principal point (x, y), pixels of this image.
        alpha: opacity of the mesh, 0 (only the photograph) to 1 (only the mesh).
        color: of the mesh in full light, RGB in [0, 1].
        light: the lamp.
    """
    brightness, coverage = shaded(vertices, faces, focal_px, center_px, image.shape[:2], light)
    paint = brightness[..., None] * (255.0 * np.asarray(color))
    opacity = alpha * coverage[..., None]
    # `paint` is already thinned by coverage where the outline cuts a pixel.
    blended = image * (1 - opacity) + alpha * paint
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


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
