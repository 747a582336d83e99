"""Figures 4 and 5: chosen people with their fits and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from spinloop.annotations.crops import CropReader
from spinloop.body.model import BodyModel
from spinloop.geometry.crop import crop_affine
from spinloop.regression.inputs import crop_from_packed
from spinloop.reporting.people import Person, Sheet, Tile, at_quantiles, draw_body, quantile_name
from spinloop.reporting.verdict import signed

_FIT_RULE = (
    "People are chosen by the rank of the change of their fit's PA-MPJPE over the training, from the most "
    "improved to the most worsened, among the {n:,} of {total:,} people whose fit the training replaced."
)
_PREDICTION_RULE = (
    "People are chosen by the rank of the last column's PA-MPJPE in the whole test split, from the least to "
    "the greatest."
)


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
    error_mm: Float[np.ndarray, " N"]
    """PA-MPJPE of each person."""


def fits_sheet(
    crops: Crops, body: BodyModel, ids: Sequence[str], before: Drawn, after: Drawn, quantiles: Sequence[float]
) -> Sheet:
    """Figure 4: the fits of the same images before and after training.

    Args:
        crops: pictures of the training split.
        body: the neutral body.
        ids: of the people.
        before: their fits before training; an error that is not a number says that there was none.
        after: their fits after training.
        quantiles: ranks of the change that are shown, among the people whose fit is another one.
    """
    change = after.error_mm - before.error_mm
    is_replaced = (after.pose != before.pose).any(1) | (after.betas != before.betas).any(1)
    change[~is_replaced] = np.nan
    people = []
    for quantile, row in at_quantiles(change, ids, quantiles):
        name = quantile_name(quantile, "most improved", "most worsened")
        rule = f"{name}, {signed(float(change[row]))} mm"
        people.append(Person(ids[row], rule, _tiles(crops[ids[row]], body, (before, after), row)))
    title = "The fits of the same training images before and after training"
    rule = _FIT_RULE.format(n=int(np.isfinite(change).sum()), total=int(np.isfinite(before.error_mm).sum()))
    return Sheet("figure4", title, rule, tuple(people))


def predictions_sheet(
    crops: Crops, body: BodyModel, ids: Sequence[str], networks: Sequence[Drawn], quantiles: Sequence[float]
) -> Sheet:
    """Figure 5: what the networks predict on test images.

    Args:
        crops: pictures of the test split.
        body: the neutral body.
        ids: of the people.
        networks: predictions of each training's network; the last one's errors choose the people.
        quantiles: ranks of the error that are shown.
    """
    people = []
    for quantile, row in at_quantiles(networks[-1].error_mm, ids, quantiles):
        rule = quantile_name(quantile, "least error", "greatest error")
        people.append(Person(ids[row], rule, _tiles(crops[ids[row]], body, networks, row)))
    return Sheet("figure5", "Predictions on test images", _PREDICTION_RULE, tuple(people))


def _tiles(
    image: UInt8[np.ndarray, "S S 3"], body: BodyModel, columns: Sequence[Drawn], row: int
) -> tuple[Tile, ...]:
    tiles = [Tile("image", image)]
    for column in columns:
        drawn = draw_body(image, body, column.pose[row], column.betas[row], column.translation[row])
        tiles.append(Tile(column.title, drawn, f"{column.error_mm[row]:.0f} mm"))
    return tuple(tiles)
