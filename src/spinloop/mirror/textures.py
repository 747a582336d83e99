"""Colors of points: patterns of floors, walls, furniture and cloth, and the skin, hair and clothes of a body.

A garment is a region of the T-pose measured along the limbs (a sleeve ends at a share of the arm's length),
so it follows the body into any pose and shape. Front and back differ (face, prints, zips), so that a picture
shows which way a person faces.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from spinloop.body.files import BodyFile
from spinloop.joints import SMPL24, VERTEX_JOINTS

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


_LEFT_ARM, _RIGHT_ARM, _HEAD, _LEFT_LEG, _RIGHT_LEG, _TORSO = range(1, 7)
_SKIN_DARK, _SKIN_LIGHT = np.array([0.24, 0.14, 0.09]), np.array([0.96, 0.78, 0.66])
_HAIR = ((0.06, 0.05, 0.04), (0.22, 0.13, 0.07), (0.45, 0.28, 0.12), (0.80, 0.64, 0.36), (0.55, 0.55, 0.55))
# Normal of the plane that separates hair from face: up and back.
_HAIR_NORMAL = np.array([0.0, 0.8, -0.6])


class BodyMeasures(NamedTuple):
    """Limbs and face of the rest pose, metres (x to the body's left, y up, z forward)."""

    shoulder_x: float
    wrist_x: float
    hip_y: float
    ankle_y: float
    waist_y: float
    chest_y: float
    ears: Float[np.ndarray, " 3"]
    eyes: Float[np.ndarray, "2 3"]
    nose: Float[np.ndarray, " 3"]

    @classmethod
    def of(cls, body: BodyFile) -> "BodyMeasures":
        """Measure the mean shape."""
        rest = body.v_template.astype(np.float64)
        joint = dict(zip(SMPL24, body.J_regressor.astype(np.float64) @ rest, strict=True))
        mark = {name: rest[vertex] for name, vertex in VERTEX_JOINTS.items()}
        return cls(
            shoulder_x=float(abs(joint["left_shoulder"][0])),
            wrist_x=float(abs(joint["left_wrist"][0])),
            hip_y=float(joint["left_hip"][1]),
            ankle_y=float(joint["left_ankle"][1]),
            waist_y=float(joint["spine1"][1]),
            chest_y=float(joint["spine3"][1]),
            ears=(mark["left_ear"] + mark["right_ear"]) / 2,
            eyes=np.stack([mark["left_eye"], mark["right_eye"]]),
            nose=mark["nose"],
        )


class Outfit(NamedTuple):
    """Skin, hair and clothes. Lengths are shares of the limb, 0 at the trunk and 1 at wrist or ankle."""

    skin: Color
    hair: Color
    hair_cut_m: float
    """Distance of the plane of the hairline from the point between the ears; larger is less hair."""
    top: Texture
    sleeve: float
    is_dress: bool
    bottom: Texture
    leg: float
    shoes: Color
    has_shoes: bool
    front: Color | None
    """Color of a print on the chest, or none."""
    zip: Color | None
    """Color of a line down the front, or none."""


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Clothes of any kind and color."""
    tone = rng.random()
    is_dress = bool(rng.random() < 0.12)
    legs = [0.3, 0.5, 0.97] if not is_dress else [0.35, 0.6]
    top = sample_texture(rng, 3, (0.06, 0.25))
    overall = rng.random() < 0.08
    return Outfit(
        skin=_SKIN_DARK + tone * (_SKIN_LIGHT - _SKIN_DARK),
        hair=np.array(_HAIR[rng.integers(len(_HAIR))]) * rng.uniform(0.7, 1.2),
        hair_cut_m=rng.uniform(-0.01, 0.05) if rng.random() < 0.93 else 0.3,
        top=top,
        sleeve=float(rng.choice([0.0, 0.3, 0.55, 0.97], p=[0.12, 0.38, 0.1, 0.4])),
        is_dress=is_dress,
        bottom=top if is_dress or overall else _sample_trousers(rng),
        leg=float(rng.choice(legs)),
        shoes=sample_color(rng),
        has_shoes=bool(rng.random() < 0.9),
        front=sample_color(rng) if rng.random() < 0.25 else None,
        zip=sample_color(rng) if rng.random() < 0.3 else None,
    )


def paint_body(
    outfit: Outfit, measures: BodyMeasures, points: Float[np.ndarray, "N 3"], parts: UInt8[np.ndarray, " N"]
) -> Colors:
    """Colors in [0, 1] of points of the body.

    Args:
        outfit: of the person.
        measures: of the same body.
        points: in the rest pose of the mean shape, metres.
        parts: the body file's part label of each point.
    """
    colors = np.broadcast_to(outfit.skin, points.shape).copy()
    along_arm = (np.abs(points[:, 0]) - measures.shoulder_x) / (measures.wrist_x - measures.shoulder_x)
    along_leg = (measures.hip_y - points[:, 1]) / (measures.hip_y - measures.ankle_y)
    arm, trunk = np.isin(parts, (_LEFT_ARM, _RIGHT_ARM)), parts == _TORSO
    leg = np.isin(parts, (_LEFT_LEG, _RIGHT_LEG))
    below = trunk & (points[:, 1] < measures.waist_y)
    above = (trunk & ~below) | (arm & (along_arm < outfit.sleeve))
    _fill(colors, above, outfit.top, points)
    _fill(colors, below | (leg & (along_leg < outfit.leg)), outfit.bottom, points)
    _fill(colors, leg & (along_leg > 0.95) & outfit.has_shoes, plain(outfit.shoes), points)
    _paint_front(colors, outfit, measures, points, trunk & ~below & (points[:, 2] > 0))
    head = parts == _HEAD
    colors[head] = _paint_head(colors[head], outfit, measures, points[head])
    return np.clip(colors, 0, 1)


def _sample_trousers(rng: np.random.Generator) -> Texture:
    if rng.random() < 0.4:
        # Shades of denim, the most common trousers.
        return plain(rng.uniform(0.4, 1.2) * np.array([0.18, 0.25, 0.42]))
    return sample_texture(rng, 3, (0.06, 0.25))


def _fill(colors: Colors, where: Bool[np.ndarray, " N"], texture: Texture, points: np.ndarray) -> None:
    colors[where] = texture(points[where])


def _paint_front(
    colors: Colors, outfit: Outfit, measures: BodyMeasures, points: np.ndarray, front: Bool[np.ndarray, " N"]
) -> None:
    if outfit.front is not None:
        offset = points[:, :2] - [0.0, measures.chest_y]
        _fill(colors, front & (np.abs(offset) < [0.1, 0.09]).all(1), plain(outfit.front), points)
    if outfit.zip is not None:
        _fill(colors, front & (np.abs(points[:, 0]) < 0.015), plain(outfit.zip), points)


def _paint_head(
    skin: Colors, outfit: Outfit, measures: BodyMeasures, points: Float[np.ndarray, "N 3"]
) -> Colors:
    colors = skin.copy()
    face = points[:, 2] > measures.ears[2]
    mouth = measures.nose - np.array([0.0, 0.045, 0.0])
    lips = (np.abs(points[:, :2] - mouth[:2]) < [0.024, 0.008]).all(1)
    colors[face & lips] = outfit.skin * [0.8, 0.45, 0.45]
    for eye in measures.eyes:
        offset = points[:, :2] - eye[:2]
        near = np.linalg.norm(offset, axis=1)
        brow = (np.abs(offset - [0.0, 0.024]) < [0.02, 0.005]).all(1)
        colors[face & brow] = outfit.hair * 0.8
        colors[face & (near < 0.014)] = 0.9
        colors[face & (near < 0.009)] = [0.1, 0.07, 0.05]
    colors[(points - measures.ears) @ _HAIR_NORMAL > outfit.hair_cut_m] = outfit.hair
    return colors
