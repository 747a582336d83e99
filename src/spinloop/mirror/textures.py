"""Patterns that color floors, walls, furniture and clothes: functions of a point (metres) to a color."""

from collections.abc import Callable
from itertools import product

import numpy as np
from jaxtyping import Float, Int64

Color = Float[np.ndarray, " 3"]
Points = Float[np.ndarray, "N D"]
Colors = Float[np.ndarray, "N 3"]
Texture = Callable[[Points], Colors]

TABLE_SIZE = 1024
# Steps in the table from one lattice point to the next: coprime to its size, for long periods.
_STRIDES = (1, 57, 461)


def sample_color(
    rng: np.random.Generator, value: tuple[float, float] = (0.1, 0.95), strength: float = 0.4
) -> Color:
    """A color of clothes and rooms: mostly muted, sometimes strong.

    Args:
        rng: generator.
        value: bounds of the brightest channel.
        strength: mean saturation.
    """
    hue, saturation = rng.random(), rng.beta(3 * strength, 3 * (1 - strength))
    ramp = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return rng.uniform(*value) * (1 - saturation * (1 - ramp))


def plain(color: Color) -> Texture:
    """One color."""
    return lambda points: np.broadcast_to(color, (len(points), 3))


def stripes(one: Color, other: Color, direction: Float[np.ndarray, " D"], period_m: float) -> Texture:
    """Bands across `direction`, both colors equally wide."""
    return lambda points: _choose((points @ direction / period_m) % 1 < 0.5, one, other)


def checks(one: Color, other: Color, period_m: float) -> Texture:
    """A checkerboard (in three dimensions, of cubes)."""
    return lambda points: _choose(np.floor(points / period_m).sum(1) % 2 == 0, one, other)


def plaid(one: Color, other: Color, period_m: float) -> Texture:
    """Two crossing sets of soft bands."""

    def color(points: Points) -> Colors:
        bands = ((points[:, :2] / period_m) % 1 < 0.4).mean(1)
        return _mix(bands, one, other)

    return color


def dots(one: Color, other: Color, period_m: float) -> Texture:
    """Discs (balls) of `other` on `one`."""

    def color(points: Points) -> Colors:
        offset = points / period_m % 1 - 0.5
        return _choose((offset**2).sum(1) > 0.09, one, other)

    return color


def mottled(one: Color, other: Color, scale_m: float, rng: np.random.Generator) -> Texture:
    """Clouds of two colors: two octaves of value noise."""
    table = rng.random(TABLE_SIZE)

    def color(points: Points) -> Colors:
        coarse, fine = noise(points / scale_m, table), noise(points * (2.7 / scale_m) + 9.1, table)
        return _mix(np.clip(1.8 * (0.65 * coarse + 0.35 * fine) - 0.4, 0, 1), one, other)

    return color


def bricks(brick: Color, mortar: Color, width_m: float, rng: np.random.Generator) -> Texture:
    """Courses of bricks (or tiles or planks: any running bond), each with its own brightness."""
    table, height_m, joint = (
        rng.random(TABLE_SIZE),
        width_m * rng.uniform(0.12, 0.5),
        rng.uniform(0.02, 0.06),
    )

    def color(points: Points) -> Colors:
        row = np.floor(points[:, 1] / height_m)
        along = points[:, 0] / width_m + 0.5 * (row % 2)
        column = np.floor(along)
        in_joint = (along - column < joint) | (points[:, 1] / height_m - row < joint * width_m / height_m)
        tone = 0.75 + 0.4 * table[_cell(column.astype(np.int64), row.astype(np.int64))]
        return np.where(in_joint[:, None], mortar, brick * tone[:, None])

    return color


def noise(points: Points, table: Float[np.ndarray, " T"]) -> Float[np.ndarray, " N"]:
    """Smooth random values in [0, 1]: random numbers on a unit lattice, interpolated between.

    Args:
        points: in lattice units, two or three dimensions.
        table: `TABLE_SIZE` random numbers in [0, 1], which the lattice repeats.
    """
    columns = np.ascontiguousarray(points.T)
    floors = np.floor(columns)
    parts = columns - floors
    # Smoothstep: the slope is continuous at lattice points.
    upper = parts * parts * (3 - 2 * parts)
    shares = np.stack([1 - upper, upper])
    base = floors.astype(np.int64)
    value = np.zeros(len(points))
    for corner in product((0, 1), repeat=len(columns)):
        weight = np.prod([shares[side, axis] for axis, side in enumerate(corner)], axis=0)
        value += weight * table[_cell(*(base[axis] + side for axis, side in enumerate(corner)))]
    return value


def sample_texture(rng: np.random.Generator, dimensions: int, period_m: tuple[float, float]) -> Texture:
    """One of the patterns of cloth and paint.

    Args:
        rng: generator.
        dimensions: of the points, 2 or 3.
        period_m: bounds of the pattern's size.
    """
    one = sample_color(rng)
    other = np.clip(one * rng.uniform(0.4, 0.8), 0, 1) if rng.random() < 0.5 else sample_color(rng)
    period = rng.uniform(*period_m)
    kind = rng.choice(
        ["plain", "stripes", "checks", "plaid", "dots", "mottled"], p=[0.4, 0.2, 0.06, 0.1, 0.06, 0.18]
    )
    if kind == "stripes":
        return stripes(one, other, np.eye(dimensions)[rng.choice(dimensions)], period)
    if kind == "mottled":
        return mottled(one, other, 2 * period, rng)
    if kind == "plain":
        return plain(one)
    return {"checks": checks, "plaid": plaid, "dots": dots}[str(kind)](one, other, period)


def _cell(*corner: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """Index of lattice points in a random table."""
    mixed = np.zeros_like(corner[0])
    for stride, index in zip(_STRIDES, corner, strict=False):
        mixed += stride * index
    return mixed % TABLE_SIZE


def _choose(first: np.ndarray, one: Color, other: Color) -> Colors:
    return np.where(first[:, None], one, other)


def _mix(share: Float[np.ndarray, " N"], one: Color, other: Color) -> Colors:
    return one + share[:, None] * (other - one)
