"""HTML pages of pictures for visual inspection; the page of annotated people with their joints by name."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from spinloop.geometry.crop import BOX_UNIT_PX, crop_affine, transform_points, warp
from spinloop.joints import COMMON24
from spinloop.rendering.pictures import BLACK, FONT, Color8, draw_joints, draw_text, to_pixel
from spinloop.tables.images import UnreadableImage, encode_jpeg, read_image
from spinloop.tables.records import Record

JPEG_QUALITY = 88
_SIDE_PX = 480
# Side of the picture / side of the box: joints outside the box are shown, too.
_MARGIN = 1.3
_LEFT, _RIGHT, _MIDDLE = (255, 190, 60), (90, 220, 255), (255, 255, 255)
_BOX_COLOR = (120, 255, 120)
_FONT_SCALE, _LINE_PX = 0.36, 12
# Vertical distances of a name from its joint, nearest first.
_OFFSETS_PX = [4.0 + sign * step * 6.0 for step in range(30) for sign in (1, -1)]
# Background, left arm, right arm, head, left leg, right leg, torso.
_PART_COLORS = np.array(
    [(0, 0, 0), _LEFT, _RIGHT, (240, 90, 90), (190, 110, 20), (30, 110, 190), (120, 200, 80)], np.uint8
)
LabelBox = tuple[float, float, float]
"""x and y of a name's lower left corner, and its width, px."""


def picture_page(title: str, pictures: Sequence[tuple[str, str]]) -> str:
    """A simple HTML page of pictures.

    Args:
        title: of the page, escaped.
        pictures: caption, escaped, and `data:` address of each.
    """
    figures = "\n".join(
        f'<figure><img src="{address}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for caption, address in pictures
    )
    style = (
        "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>\n'
        f"<body><h1>{title}</h1>\n{figures}\n</body></html>\n"
    )


def data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """The image as a `data:` address."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image, JPEG_QUALITY)).decode('ascii')}"


def sample_records(records: Iterable[Record], count: int, seed: int) -> list[Record]:
    """`count` people sampled uniformly, in the order of the table; memory does not grow with the table."""
    rng = np.random.default_rng(seed)
    chosen: list[tuple[int, Record]] = []
    for number, record in enumerate(records):
        if number < count:
            chosen.append((number, record))
        elif (place := int(rng.integers(number + 1))) < count:
            chosen[place] = (number, record)
    return [record for _, record in sorted(chosen, key=lambda pair: pair[0])]


def annotation_page(name: str, records: Sequence[Record], raw: Path) -> str:
    """One HTML page of people, each with the joints by name and, where there are any, the part labels.

    Args:
        name: of the table.
        records: the people; those whose image cannot be decoded are left out.
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
        figures.append((html.escape(_describe(record)), data_uri(np.concatenate(tiles, axis=1))))
    legend = f"{name}: orange is the person's left, blue the right, white the middle, green the box"
    return picture_page(html.escape(legend), figures)


def draw_annotation(image: UInt8[np.ndarray, "H W 3"], record: Record) -> UInt8[np.ndarray, "S S 3"]:
    """The person's region with the box and every annotated joint by its name."""
    affine = _affine(record)
    tile = warp(image, affine, _SIDE_PX)
    half = record.scale * BOX_UNIT_PX / 2
    corners = transform_points(affine, record.center + half * np.array([[-1.0, -1.0], [1.0, 1.0]]))
    cv2.rectangle(tile, to_pixel(corners[0]), to_pixel(corners[1]), _BOX_COLOR, 1, cv2.LINE_AA)
    if record.keypoints is None:
        return tile
    is_annotated = record.keypoints[:, 2] > 0
    names = [COMMON24[joint] for joint in np.flatnonzero(is_annotated)]
    places = transform_points(affine, record.keypoints[is_annotated, :2])
    tile = draw_joints(tile, places, 3, [_color(name) for name in names])
    for name, place, (x, y, width) in zip(names, places, _place_labels(names, places), strict=True):
        nearest = np.array([np.clip(place[0], x, x + width), y - _LINE_PX / 3])
        cv2.line(tile, to_pixel(place), to_pixel(nearest), _color(name), 1, cv2.LINE_AA)
        tile = draw_text(tile, name, np.array([x, y]), _color(name), BLACK, _FONT_SCALE)
    return tile


def draw_parts(
    parts: UInt8[np.ndarray, "H W"], image: UInt8[np.ndarray, "H W 3"], record: Record
) -> UInt8[np.ndarray, "S S 3"]:
    """The person's region with the part labels over it; unlabelled pixels of the person are white."""
    colors = np.where((parts > 6)[..., None], np.uint8(255), _PART_COLORS[np.minimum(parts, 6)])
    mixed = np.where((parts > 0)[..., None], 0.3 * image + 0.7 * colors, 0.5 * image)
    return warp(np.rint(mixed).astype(np.uint8), _affine(record), _SIDE_PX)


def _affine(record: Record) -> Float[np.ndarray, "2 3"]:
    return crop_affine(record.center, record.scale * _MARGIN, size_px=float(_SIDE_PX))


def _place_labels(names: Sequence[str], places: Float[np.ndarray, "J 2"]) -> list[LabelBox]:
    """Put each name right or left of its joint, as near as the names before it allow."""
    taken: list[LabelBox] = []
    for name, (x, y) in zip(names, places, strict=True):
        (width, _), _ = cv2.getTextSize(name, FONT, _FONT_SCALE, 1)
        boxes = [(float(x + dx), float(y + dy), float(width)) for dy in _OFFSETS_PX for dx in (7, -7 - width)]
        taken.append(next((box for box in boxes if _is_free(box, taken)), boxes[0]))
    return taken


def _is_free(box: LabelBox, taken: Sequence[LabelBox]) -> bool:
    x, y, width = box
    return not any(
        x < left + other and left < x + width and abs(y - base) < _LINE_PX for left, base, other in taken
    )


def _color(name: str) -> Color8:
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE


def _describe(record: Record) -> str:
    has = {"2D joints": record.keypoints, "3D joints": record.joints_3d, "pose": record.pose,
           "shape": record.betas}  # fmt: skip
    words = ", ".join(name for name, value in has.items() if value is not None) or "a box only"
    side = record.scale * BOX_UNIT_PX
    return f"{record.id}: {record.image_width} × {record.image_height} px, box {side:.0f} px; has {words}"
