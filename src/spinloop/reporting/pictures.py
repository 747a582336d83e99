"""Figures 2 to 6: chosen people with their keypoints, fits and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from spinloop.annotations.crops import CropReader
from spinloop.body.model import BodyModel
from spinloop.geometry.crop import crop_affine
from spinloop.geometry.crop_frame import CROP_PX
from spinloop.regression.inputs import crop_from_packed
from spinloop.reporting.people import Person, Sheet, Tile, at_quantiles, draw_body, quantile_name
from spinloop.reporting.verdict import signed

_FIT_RULE = (
    "People are chosen by the rank of the change of their fit's PA-MPJPE over the training, from the most "
    "improved to the most worsened, among the {n:,} of {total:,} people whose fit the training replaced."
)
_PREDICTION_RULE = (
    "People are chosen by the rank of the last column's {metric} in the whole split, from the best to the "
    "worst."
)
_WORST_RULE = "The people whose prediction in the last column is worst by {metric}, none left out."
_SEEN_COLOR, _DOT_SHARE = (255, 196, 0), 0.012


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
        tiles = (drawn[0], Tile("2D joints", draw_joints(image, keypoints[row])), *drawn[1:])
        people.append(Person(shown.ids[row], f"{name}, {signed(float(change[row]))} mm", tiles))
    title = f"Network, fit, supervision ({shown.label})"
    return Sheet(f"figure2_{shown.key}", title, f"Network of the training: {training}.", tuple(people))


def draw_joints(
    image: UInt8[np.ndarray, "S S 3"], keypoints: Float[np.ndarray, "K 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """The picture with a dot on every joint that has confidence.

    Args:
        image: a crop of any size.
        keypoints: px of the 224 px crop, and confidence.
    """
    drawn, zoom = image.copy(), image.shape[0] / CROP_PX
    radius = max(2, round(_DOT_SHARE * image.shape[0]))
    for x, y, confidence in keypoints:
        if confidence > 0:
            place = (int(np.floor(x * zoom)), int(np.floor(y * zoom)))
            cv2.circle(drawn, place, radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(drawn, place, radius, _SEEN_COLOR, -1, cv2.LINE_AA)
    return drawn


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
