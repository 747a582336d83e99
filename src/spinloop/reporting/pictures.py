"""Pictures of chosen people with bodies drawn on them.

Figures 2 to 6: chosen people with their keypoints, fits and predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from spinloop.body.model import BodyModel
from spinloop.geometry.crop import CROP_PX, crop_affine, crop_from_packed
from spinloop.rendering.pictures import Color8, draw_joints, overlay_on_crop
from spinloop.reporting.sentences import signed
from spinloop.tables.crops import CropReader


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
    return overlay_on_crop(image, vertices, body.faces.numpy(), alpha)


_FIT_RULE = (
    "People are chosen by the rank of the change of their fit's PA-MPJPE over the training, from the most "
    "improved to the most worsened, among the {n:,} of {total:,} people whose fit the training replaced."
)
_PREDICTION_RULE = (
    "People are chosen by the rank of the last column's {metric} in the whole split, from the best to the "
    "worst."
)
_WORST_RULE = "The people whose prediction in the last column is worst by {metric}, none left out."
_JOINT_COLOR: Color8 = (255, 196, 0)
# Radius of a dot / side of the picture.
_DOT_SHARE = 0.012


class Crops:
    """Pictures of people in the 224 px crop's frame."""

    def __init__(self, reader: CropReader, records: pd.DataFrame, size_px: int) -> None:
        """Take pictures from a file of packed crops.

        Args:
            reader: the file.
            records: the annotated people, whose boxes are the crops.
            size_px: side of the pictures.
        """
        self._reader, self._size_px = reader, size_px
        self._boxes = {
            key: (np.asarray(center), float(scale))
            for key, center, scale in zip(records["id"], records["center"], records["scale"], strict=True)
        }

    def __getitem__(self, key: str) -> UInt8[np.ndarray, "S S 3"]:
        packed, packed_affine = self._reader.image(self._reader.index_of[key])
        affine = crop_affine(*self._boxes[key], size_px=float(self._size_px))
        return crop_from_packed(packed, packed_affine, affine, self._size_px)


@dataclass(frozen=True)
class Drawn:
    """One column of a sheet: a body for each person, and its error."""

    title: str
    """Heading of the column."""
    pose: Float[np.ndarray, "N ..."]
    """Axis-angles (72,) or matrices (24, 3, 3) of each person."""
    betas: Float[np.ndarray, "N 10"]
    """Shape of each person."""
    translation: Float[np.ndarray, "N 3"]
    """Metres, of the 224 px crop's camera."""
    error: Float[np.ndarray, " N"]
    """What each person is ranked by; less is better."""
    captions: Sequence[str] | None = None
    """Each person's number in words; the error in mm if not given."""

    def caption(self, row: int) -> str:
        """A person's number in words."""
        return f"{self.error[row]:.0f} mm" if self.captions is None else self.captions[row]


def fits_sheet(
    key: str,
    where: str,
    training: str,
    crops: Crops,
    body: BodyModel,
    ids: Sequence[str],
    before: Drawn,
    after: Drawn,
    quantiles: Sequence[float],
) -> Sheet:
    """Figure 4: the fits of the same images before and after training.

    Args:
        key: of the training split.
        where: the split, for people.
        training: that made the later fits, for people.
        crops: pictures of the training split.
        body: the neutral body.
        ids: of the people.
        before: their fits before training; an error that is not a number says that there was none.
        after: their fits after training.
        quantiles: ranks of the change that are shown, among the people whose fit is another one.
    """
    change = after.error - before.error
    is_replaced = (after.pose != before.pose).any(1) | (after.betas != before.betas).any(1)
    change[~is_replaced] = np.nan
    people = []
    for quantile, row in at_quantiles(change, ids, quantiles):
        name = quantile_name(quantile, "most improved", "most worsened")
        rule = f"{name}, {signed(float(change[row]))} mm"
        people.append(Person(ids[row], rule, _tiles(crops[ids[row]], body, (before, after), row)))
    title = f"The fits of the same training images before and after training ({where}; {training})"
    rule = _FIT_RULE.format(n=int(np.isfinite(change).sum()), total=int(np.isfinite(before.error).sum()))
    return Sheet(f"figure4_{key}", title, rule, tuple(people))


@dataclass(frozen=True)
class Shown:
    """A test split's people and what is drawn of them."""

    key: str
    """Of the split."""
    label: str
    """The split, for people."""
    metric: str
    """What people are ranked by, in words."""
    crops: Crops
    body: BodyModel
    ids: Sequence[str]
    networks: Sequence[Drawn]
    """Predictions of each training's network; the last one's errors choose the people."""


def predictions_sheet(shown: Shown, quantiles: Sequence[float]) -> Sheet:
    """Figure 5: what the networks predict on test images, at ranks of the error."""
    people = []
    for quantile, row in at_quantiles(shown.networks[-1].error, shown.ids, quantiles):
        rule = quantile_name(quantile, "least error", "greatest error")
        people.append(_person(shown, row, rule))
    rule = _PREDICTION_RULE.format(metric=shown.metric)
    return Sheet(f"figure5_{shown.key}", f"Predictions on test images ({shown.label})", rule, tuple(people))


def worst_sheet(shown: Shown, n_people: int) -> Sheet:
    """Figure 6: the worst predictions."""
    error = shown.networks[-1].error
    known = np.flatnonzero(np.isfinite(error)).tolist()
    order = sorted(known, key=lambda row: (-error[row], shown.ids[row]))
    people = [_person(shown, row, f"worst {place}") for place, row in enumerate(order[:n_people], 1)]
    rule = _WORST_RULE.format(metric=shown.metric)
    return Sheet(f"figure6_{shown.key}", f"Worst predictions ({shown.label})", rule, tuple(people))


def step_sheet(
    shown: Shown,
    training: str,
    keypoints: Float[np.ndarray, "N K 3"],
    fitted: Drawn,
    quantiles: Sequence[float],
) -> Sheet:
    """Figures 2 and 3: image, 2D joints, what the network says, the fit that starts there.

    Args:
        shown: people with 2D joints; the last network starts the fit.
        training: whose network that is.
        keypoints: their 2D joints, px of the 224 px crop, and confidence.
        fitted: the fits.
        quantiles: ranks of the change of error that are shown.
    """
    network, people = shown.networks[-1], []
    change = fitted.error - network.error
    for quantile, row in at_quantiles(change, shown.ids, quantiles):
        image = shown.crops[shown.ids[row]]
        name = quantile_name(quantile, "most improved", "most worsened")
        drawn = _tiles(image, shown.body, (network, fitted), row)
        tiles = (drawn[0], Tile("2D joints", _with_joints(image, keypoints[row])), *drawn[1:])
        people.append(Person(shown.ids[row], f"{name}, {signed(float(change[row]))} mm", tiles))
    title = f"Network, fit, supervision ({shown.label})"
    return Sheet(f"figure2_{shown.key}", title, f"Network of the training: {training}.", tuple(people))


def _with_joints(
    image: UInt8[np.ndarray, "S S 3"], keypoints: Float[np.ndarray, "K 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """The picture with a dot on every joint that has confidence.

    Args:
        image: a crop of any size.
        keypoints: px of the 224 px crop, and confidence.
    """
    known = keypoints[keypoints[:, 2] > 0, :2] * (image.shape[0] / CROP_PX)
    return draw_joints(image, known, max(2, round(_DOT_SHARE * image.shape[0])), [_JOINT_COLOR] * len(known))


def _person(shown: Shown, row: int, rule: str) -> Person:
    key = shown.ids[row]
    return Person(key, rule, _tiles(shown.crops[key], shown.body, shown.networks, row))


def _tiles(
    image: UInt8[np.ndarray, "S S 3"], body: BodyModel, columns: Sequence[Drawn], row: int
) -> tuple[Tile, ...]:
    tiles = [Tile("image", image)]
    for column in columns:
        drawn = draw_body(image, body, column.pose[row], column.betas[row], column.translation[row])
        tiles.append(Tile(column.title, drawn, column.caption(row)))
    return tuple(tiles)
