"""Pictures of annotated people with their joints drawn by name, for a person to look at."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from spinloop.geometry.crop import BOX_UNIT_PX, crop_affine, transform_points, warp
from spinloop.joints import COMMON24
from spinloop.rendering.pictures import BLACK, FONT, Color8, draw_joints, draw_text, to_pixel
from spinloop.reporting.pages import data_uri, page
from spinloop.tables.images import UnreadableImage, read_image
from spinloop.tables.records import Record

_SIDE_PX = 480
# Room around the box, so that joints outside it are seen too.
_MARGIN = 1.3
_LEFT, _RIGHT, _MIDDLE = (255, 190, 60), (90, 220, 255), (255, 255, 255)
_BOX_COLOR = (120, 255, 120)
_FONT_SCALE, _LINE_PX = 0.36, 12
# How far above or below its joint a name may begin, nearest first.
_ROWS_PX = [4.0 + sign * step * 6.0 for step in range(30) for sign in (1, -1)]
# Background, left arm, right arm, head, left leg, right leg, torso.
_PART_COLORS = np.array(
    [(0, 0, 0), _LEFT, _RIGHT, (240, 90, 90), (190, 110, 20), (30, 110, 190), (120, 200, 80)], np.uint8
)


def choose(records: Iterable[Record], count: int, seed: int) -> list[Record]:
    """`count` random people in the order of the table, each as likely as any other, in flat memory."""
    rng = np.random.default_rng(seed)
    held: list[tuple[int, Record]] = []
    for number, record in enumerate(records):
        if number < count:
            held.append((number, record))
        elif (place := int(rng.integers(number + 1))) < count:
            held[place] = (number, record)
    return [record for _, record in sorted(held, key=lambda pair: pair[0])]


def gallery_page(name: str, records: Sequence[Record], raw: Path) -> str:
    """One page of people, each with the joints by name and, where there are any, the part labels.

    Args:
        name: of the table.
        records: who.
        raw: the dataset's folder.

    Raises:
        UserError: an image is absent.
    """
    figures = []
    for record in records:
        try:
            image = read_image(raw / record.image)
            tiles = [draw_annotation(image, record)]
            if record.parts is not None:
                tiles.append(draw_parts(read_image(raw / record.parts)[..., 0], image, record))
        except UnreadableImage:
            continue
        figures.append((html.escape(_about(record)), data_uri(np.concatenate(tiles, axis=1))))
    legend = f"{name}: orange is the person's left, blue the right, white the middle, green the box"
    return page(html.escape(legend), figures)


def draw_annotation(image: UInt8[np.ndarray, "H W 3"], record: Record) -> UInt8[np.ndarray, "S S 3"]:
    """The person's region with the box and every annotated joint by its name."""
    affine = _affine(record)
    tile = warp(image, affine, _SIDE_PX)
    half = record.scale * BOX_UNIT_PX / 2
    corners = transform_points(affine, record.center + half * np.array([[-1.0, -1.0], [1.0, 1.0]]))
    cv2.rectangle(tile, to_pixel(corners[0]), to_pixel(corners[1]), _BOX_COLOR, 1, cv2.LINE_AA)
    if record.keypoints is None:
        return tile
    seen = record.keypoints[:, 2] > 0
    places = transform_points(affine, record.keypoints[:, :2])
    labels = [(COMMON24[joint], places[joint]) for joint in np.flatnonzero(seen)]
    tile = draw_joints(tile, places[seen], 3, [_color(word) for word, _ in labels])
    spots = _spread(*zip(*labels, strict=True)) if labels else []
    for (word, place), (x, y, width) in zip(labels, spots, strict=True):
        nearest = np.array([np.clip(place[0], x, x + width), y - _LINE_PX / 3])
        cv2.line(tile, to_pixel(place), to_pixel(nearest), _color(word), 1, cv2.LINE_AA)
        tile = draw_text(tile, word, np.array([x, y]), _color(word), BLACK, _FONT_SCALE)
    return tile


def draw_parts(
    parts: UInt8[np.ndarray, "H W"], image: UInt8[np.ndarray, "H W 3"], record: Record
) -> UInt8[np.ndarray, "S S 3"]:
    """The person's region with the part labels over it; what is left open is white."""
    colors = np.where((parts > 6)[..., None], np.uint8(255), _PART_COLORS[np.minimum(parts, 6)])
    mixed = np.where((parts > 0)[..., None], 0.3 * image + 0.7 * colors, 0.5 * image)
    return warp(np.rint(mixed).astype(np.uint8), _affine(record), _SIDE_PX)


def _affine(record: Record) -> Float[np.ndarray, "2 3"]:
    return crop_affine(record.center, record.scale * _MARGIN, size_px=float(_SIDE_PX))


Spot = tuple[float, float, float]
"""Where a name stands: x and y of its lower left corner, and its width, px."""


def _spread(words: Sequence[str], places: Sequence[Float[np.ndarray, " 2"]]) -> list[Spot]:
    """A spot for each name: right or left of its joint, as little above or below as the others leave free."""
    taken: list[Spot] = []
    for word, (x, y) in zip(words, places, strict=True):
        (width, _), _ = cv2.getTextSize(word, FONT, _FONT_SCALE, 1)
        spots = [(float(x + dx), float(y + dy), float(width)) for dy in _ROWS_PX for dx in (7, -7 - width)]
        taken.append(next((spot for spot in spots if _is_free(spot, taken)), spots[0]))
    return taken


def _is_free(spot: Spot, taken: Sequence[Spot]) -> bool:
    x, y, width = spot
    return not any(
        x < left + other and left < x + width and abs(y - base) < _LINE_PX for left, base, other in taken
    )


def _color(word: str) -> Color8:
    return _LEFT if word.startswith("left") else _RIGHT if word.startswith("right") else _MIDDLE


def _about(record: Record) -> str:
    has = {"2D joints": record.keypoints, "3D joints": record.joints_3d, "pose": record.pose,
           "shape": record.betas}  # fmt: skip
    words = ", ".join(name for name, value in has.items() if value is not None) or "a box only"
    side = record.scale * BOX_UNIT_PX
    return f"{record.id}: {record.image_width} × {record.image_height} px, box {side:.0f} px; has {words}"
