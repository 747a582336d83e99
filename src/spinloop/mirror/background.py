"""What a picture shows besides people: floor, wall and sky behind them, occluders before them."""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from spinloop.mirror.camera import Camera
from spinloop.mirror.textures import (
    TABLE_SIZE,
    Texture,
    bricks,
    mottled,
    noise,
    plain,
    sample_color,
    sample_texture,
)

_FAR_M = 60.0


class Panel(NamedTuple):
    """A rectangle on the wall: a picture, a window, a door, a shelf."""

    low: Float[np.ndarray, " 2"]
    high: Float[np.ndarray, " 2"]
    texture: Texture


class Background(NamedTuple):
    """Everything behind the people."""

    floor: Texture
    """Coordinates x, z of the world."""
    wall: Texture
    """Coordinates along the wall and up."""
    wall_normal: Float[np.ndarray, " 3"]
    """Unit vector out of the wall, horizontal."""
    wall_distance_m: float
    """From the world's origin to the wall; infinite where there is none (open air)."""
    panels: tuple[Panel, ...]
    sky: tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]
    """Colors at the horizon and above."""
    hedge: tuple[Float[np.ndarray, " 3"], float, Float[np.ndarray, " T"]]
    """Trees or roofs along the horizon: color, height (tangent of the elevation), random numbers."""


def sample_background(rng: np.random.Generator) -> Background:
    """A room (two in three) or the open air."""
    angle = rng.normal(0.0, 0.35)
    indoors = rng.random() < 0.65
    return Background(
        floor=_sample_surface(rng, floor=True),
        wall=_sample_surface(rng, floor=False),
        wall_normal=np.array([np.sin(angle), 0.0, np.cos(angle)]),
        wall_distance_m=rng.uniform(0.8, 4.0) if indoors else np.inf,
        panels=tuple(_sample_panel(rng) for _ in range(rng.integers(0, 7))),
        sky=(
            sample_color(rng, (0.6, 1.0), strength=0.15),
            rng.uniform(0.4, 0.9) * np.array([0.55, 0.75, 1.0]),
        ),
        hedge=(sample_color(rng, (0.1, 0.6)), rng.uniform(0.0, 0.5), rng.random(TABLE_SIZE)),
    )


def paint_background(
    background: Background, camera: Camera, light_on_floor: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    """RGB in [0, 1] of the picture without people and occluders.

    Args:
        background: floor, wall and sky.
        camera: of the picture.
        light_on_floor: factor on the floor's brightness at each pixel (shadows).
    """
    rays = camera.rays()
    to_floor = _distance(rays, camera.position, np.array([0.0, 1.0, 0.0]), 0.0)
    to_wall = _distance(rays, camera.position, background.wall_normal, -background.wall_distance_m)
    on_wall = (to_wall < to_floor) & (to_wall < _FAR_M)
    on_floor = (to_floor <= to_wall) & (to_floor < _FAR_M)
    colors = np.empty(rays.shape)
    colors[~(on_wall | on_floor)] = _paint_air(background, rays[~(on_wall | on_floor)])
    colors[on_wall] = _paint_wall(background, camera.position + to_wall[on_wall, None] * rays[on_wall])
    floor_points = camera.position + to_floor[on_floor, None] * rays[on_floor]
    haze = np.clip(to_floor[on_floor, None] / _FAR_M, 0, 1) ** 0.5
    lit = background.floor(floor_points[:, ::2]) * light_on_floor.reshape(-1)[on_floor, None]
    colors[on_floor] = lit * (1 - haze) + haze * background.sky[0]
    return colors.reshape(*camera.size, 3)


def _distance(
    rays: Float[np.ndarray, "P 3"],
    position: Float[np.ndarray, " 3"],
    normal: Float[np.ndarray, " 3"],
    offset: float,
) -> Float[np.ndarray, " P"]:
    """Distance along each ray to the plane normal · x = offset; infinite behind the camera or parallel."""
    speed = rays @ normal
    gap = offset - position @ normal
    meets = (speed * gap > 0) & np.isfinite(gap)
    return np.where(meets, gap / np.where(meets, speed, 1.0), np.inf)


def _paint_wall(background: Background, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    along = np.array([background.wall_normal[2], 0.0, -background.wall_normal[0]])
    flat = np.stack([points @ along, points[:, 1]], axis=1)
    colors = background.wall(flat).copy()
    for panel in background.panels:
        inside = ((flat > panel.low) & (flat < panel.high)).all(1)
        colors[inside] = panel.texture(flat[inside])
    # The corner with the floor is darker.
    return colors * (0.65 + 0.35 * np.clip(flat[:, 1:] / 0.6, 0, 1))


def _paint_air(background: Background, rays: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
    horizontal = np.hypot(rays[:, 0], rays[:, 2])
    elevation = rays[:, 1] / np.maximum(horizontal, 1e-9)
    blend = np.clip(elevation / 0.8, 0, 1)[:, None]
    colors = background.sky[0] * (1 - blend) + blend * background.sky[1]
    color, height, table = background.hedge
    azimuth = np.arctan2(rays[:, 0], -rays[:, 2])
    around = np.stack([azimuth * 8, elevation * 8], axis=1)
    edge = height * (0.4 + noise(around * [1.0, 0.0], table))
    leaves = 0.6 + 0.8 * noise(around * 3, table)
    below = elevation < edge
    colors[below] = np.clip(color * leaves[below, None], 0, 1)
    return colors


def _sample_panel(rng: np.random.Generator) -> Panel:
    low = np.array([rng.uniform(-3.0, 2.5), rng.choice([0.0, rng.uniform(0.3, 1.6)])])
    return Panel(low, low + rng.uniform(0.2, 1.5, 2), sample_texture(rng, 2, (0.05, 0.4)))


def _sample_surface(rng: np.random.Generator, floor: bool) -> Texture:
    color = sample_color(rng, (0.25, 0.9), strength=0.2)
    other = np.clip(color * rng.uniform(0.5, 1.3, 3), 0, 1)
    kind = rng.choice(["plain", "mottled", "bricks", "pattern"], p=[0.2, 0.4, 0.3, 0.1])
    if kind == "mottled":
        return mottled(color, other, rng.uniform(0.1, 1.5), rng)
    if kind == "bricks":
        return bricks(color, other * 0.7, rng.uniform(0.3, 1.6) if floor else rng.uniform(0.2, 0.7), rng)
    if kind == "pattern":
        return sample_texture(rng, 2, (0.15, 0.6))
    return plain(color)


# Each side of the unit cube as two triangles; corner i has the bits of i as its x, y, z.
CUBE_CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))
_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
CUBE_FACES: Int[np.ndarray, "12 3"] = np.array([t for a, b, c, d in _SIDES for t in ((a, b, c), (a, c, d))])


class Occluder(NamedTuple):
    """A cuboid between the camera and the people: a crate, a table, a post, a low wall."""

    vertices: Float[np.ndarray, "8 3"]
    """World axes, metres."""
    local: Float[np.ndarray, "8 3"]
    """The same corners in the cuboid's own axes, where its texture is defined."""
    texture: Texture


def sample_occluder(
    rng: np.random.Generator, camera: Camera, target: Float[np.ndarray, " 3"], coverage: tuple[float, float]
) -> Occluder:
    """A cuboid that hides a part of a person.

    Args:
        rng: generator.
        camera: of the picture.
        target: the middle of the person, world axes, metres.
        coverage: bounds of the width and height, metres, at the person's distance.
    """
    share = rng.uniform(0.55, 0.85)
    size = rng.uniform(*coverage, 3) * share
    size[2] = rng.uniform(0.05, 0.5)
    if rng.random() < 0.3:
        size[:2] = size[:2].max() * rng.permutation([0.25, 2.0])
    right = camera.rotation[0]
    middle = camera.position + share * (target - camera.position)
    middle = middle + right * rng.normal(0.0, 0.35) * share
    # Most stand on the floor; some hang into the picture.
    middle[1] = size[1] / 2 + rng.choice([0.0, rng.uniform(0.0, 1.2)], p=[0.7, 0.3])
    angle = rng.normal(0.0, 0.5)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    local = CUBE_CORNERS * size
    return Occluder(local @ rotation.T + middle, local, sample_texture(rng, 3, (0.08, 0.4)))
