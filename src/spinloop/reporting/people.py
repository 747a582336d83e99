"""Pictures of chosen people with bodies drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from spinloop.body.model import BodyModel
from spinloop.geometry.crop_frame import CENTER_PX, CROP_PX, FOCAL_PX
from spinloop.rendering.overlay import overlay

_GAP_PX = 6


@dataclass(frozen=True)
class Tile:
    """One picture of a person."""

    title: str
    """What is drawn, e.g. `before`."""
    image: UInt8[np.ndarray, "S S 3"]
    """RGB."""
    caption: str = ""
    """Its number, e.g. the error."""


@dataclass(frozen=True)
class Person:
    """A person's pictures side by side."""

    id: str
    rule: str
    """Why this person is shown."""
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Sheet:
    """People under each other, each with the same kinds of tiles."""

    key: str
    """Name of the file."""
    title: str
    caption: str
    """What is seen and by which rule the people were chosen."""
    people: tuple[Person, ...]


def at_quantiles(
    values: Float[np.ndarray, " N"], ids: Sequence[str], quantiles: Sequence[float]
) -> list[tuple[float, int]]:
    """Rows at given ranks of a number: 0 is the least, 1 the greatest.

    Equal numbers are ranked by id, so that the choice is the same on every machine; a row is chosen once.

    Args:
        values: one number per row; rows with NaN are never chosen.
        ids: of the rows.
        quantiles: ranks in [0, 1].

    Returns:
        Quantile and row.
    """
    finite = np.flatnonzero(np.isfinite(values)).tolist()
    order = sorted(finite, key=lambda row: (values[row], ids[row]))
    chosen: dict[int, float] = {}
    for quantile in quantiles if order else ():
        chosen.setdefault(order[round(quantile * (len(order) - 1))], quantile)
    return [(quantile, row) for row, quantile in chosen.items()]


def quantile_name(quantile: float, least: str, greatest: str) -> str:
    """The rank in words: `least`, `10 %`, `median`, `greatest`."""
    names = {0.0: least, 0.5: "median", 1.0: greatest}
    return names.get(quantile, f"{100 * quantile:.0f} % quantile")


@torch.no_grad()
def draw_body(
    image: UInt8[np.ndarray, "S S 3"],
    body: BodyModel,
    pose: Float[np.ndarray, "..."],
    betas: Float[np.ndarray, " 10"],
    translation: Float[np.ndarray, " 3"],
    alpha: float = 0.8,
) -> UInt8[np.ndarray, "S S 3"]:
    """The crop with the body on it, seen by the crop's camera.

    Args:
        image: the crop of the person, of any size.
        body: of the pose and shape.
        pose: axis-angles (72,) or matrices (24, 3, 3).
        betas: shape coefficients.
        translation: metres, of the 224 px crop's camera.
        alpha: opacity of the body.
    """
    numbers = (torch.from_numpy(np.asarray(array, np.float32))[None] for array in (pose, betas))
    vertices = body.vertices(*numbers)[0].numpy() + np.asarray(translation, np.float32)
    zoom = image.shape[0] / CROP_PX
    center = (CENTER_PX * zoom, CENTER_PX * zoom)
    return overlay(image, vertices, body.faces.numpy(), FOCAL_PX * zoom, center, alpha)


def contact_sheet(sheet: Sheet) -> UInt8[np.ndarray, "H W 3"]:
    """All tiles of a sheet in one image: a row per person, white between them."""
    rows = [_joined([tile.image for tile in person.tiles], axis=1) for person in sheet.people]
    return _joined(rows, axis=0)


def _joined(images: list[UInt8[np.ndarray, "H W 3"]], axis: int) -> UInt8[np.ndarray, "H2 W2 3"]:
    shape = list(images[0].shape)
    shape[axis] = _GAP_PX
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=axis)
