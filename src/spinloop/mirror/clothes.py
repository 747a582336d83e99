"""Skin, hair and clothes: the color of every point of a body, defined in its rest pose.

A garment is a region of the T-pose measured along the limbs (a sleeve ends at a share of the arm's length),
so it follows the body into any pose and shape. Front and back differ (face, prints, zips), so that a picture
shows which way a person faces.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from spinloop.body.files import BodyFile
from spinloop.joints import SMPL24, VERTEX_JOINTS
from spinloop.mirror.textures import Color, Colors, Texture, plain, sample_color, sample_texture

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
