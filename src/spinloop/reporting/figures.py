"""Figures 2 to 6: chosen people with their 2D joints, fits and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from spinloop.body.model import BodyModel
from spinloop.evaluation.offline_fits import image_keypoints
from spinloop.evaluation.predictions import StoredPredictions
from spinloop.evaluation.truth import rows_of
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.crop import CROP_PX, crop_affine, crop_from_packed
from spinloop.params.evaluation import ReportParams
from spinloop.rendering.pictures import Color8, draw_joints, overlay_on_crop
from spinloop.reporting.splits import EvaluatedSplit, FittedSplit
from spinloop.reporting.tables import signed
from spinloop.tables.crops import CropReader

_ALPHA = 0.8
_JOINT_COLOR: Color8 = (255, 196, 0)
# Radius of a dot / side of the picture.
_DOT_SHARE = 0.012


@dataclass(frozen=True)
class Tile:
    """One picture of a person."""

    title: str
    """Heading of its column, e.g. `before`."""
    image: UInt8[np.ndarray, "S S 3"]
    """RGB."""
    caption: str = ""
    """Its number, e.g. the error."""


@dataclass(frozen=True)
class TileRow:
    """The pictures of one person, side by side."""

    id: str
    rank: str
    """Why this person was chosen."""
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Sheet:
    """A figure: people below each other, each with the same columns."""

    key: str
    """Name of the file."""
    title: str
    caption: str
    """The rule by which the people were chosen."""
    people: tuple[TileRow, ...]


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
    """The rank in words: `least`, `10 % quantile`, `median`, `greatest`."""
    names = {0.0: least, 0.5: "median", 1.0: greatest}
    return names.get(quantile, f"{100 * quantile:.0f} % quantile")


@dataclass(frozen=True)
class BodyColumn:
    """One column of a figure: a body and an error for each person."""

    title: str
    pose: Float[np.ndarray, "N ..."]
    """Axis-angles (72,) or matrices (24, 3, 3) of each person."""
    betas: Float[np.ndarray, "N 10"]
    translation: Float[np.ndarray, "N 3"]
    """Metres, of the 224 px crop's camera."""
    error: Float[np.ndarray, " N"]
    """Ranks the people; less is better. NaN where a person has no body."""
    captions: Sequence[str] | None = None
    """Each person's number in words; the error in mm if not given."""

    def caption(self, row: int) -> str:
        """A person's number in words."""
        return f"{self.error[row]:.0f} mm" if self.captions is None else self.captions[row]

    @torch.no_grad()
    def tile(self, image: UInt8[np.ndarray, "S S 3"], body: BodyModel, row: int) -> Tile:
        """A person's crop, of any size, with the body on it."""
        numbers = (
            torch.from_numpy(np.asarray(array, np.float32))[None]
            for array in (self.pose[row], self.betas[row])
        )
        vertices = body.vertices(*numbers)[0].numpy() + np.asarray(self.translation[row], np.float32)
        picture = overlay_on_crop(image, vertices, body.faces.numpy(), _ALPHA)
        return Tile(self.title, picture, self.caption(row))


class CropPictures:
    """Pictures of people in the frame of the 224 px crop, from a file of packed crops."""

    def __init__(self, reader: CropReader, records: pd.DataFrame, size_px: int) -> None:
        """Read from an open file.

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
class FigureSheets:
    """All figures of people."""

    steps: tuple[Sheet, ...]
    """Figures 2 and 3: one step of the loop on each test split that has fits."""
    fits: tuple[Sheet, ...]
    """Figure 4: fits before and after training."""
    predictions: tuple[Sheet, ...]
    """Figure 5: predictions on each test split."""
    worst: tuple[Sheet, ...]
    """Figure 6: the worst predictions of each test split."""


def figure_sheets(
    fitted: Sequence[FittedSplit],
    evaluated: Sequence[EvaluatedSplit],
    body: BodyModel,
    params: ReportParams,
) -> FigureSheets:
    """Render all figures of people.

    Args:
        fitted: training splits with their fits.
        evaluated: test splits with their predictions.
        body: the neutral body.
        params: ranks and sizes.
    """
    sheets = [_test_sheets(each, body, params) for each in evaluated]
    fits = [_fits_sheet(each, body, params) for each in fitted]
    return FigureSheets(
        steps=tuple(step for *_, step in sheets if step is not None),
        fits=tuple(sheet for sheet in fits if sheet.people),
        predictions=tuple(predicted for predicted, *_ in sheets),
        worst=tuple(worst for _, worst, _ in sheets),
    )


def _fits_sheet(fitted: FittedSplit, body: BodyModel, params: ReportParams) -> Sheet:
    """Figure 4: fits before and after training, at ranks of the change among the replaced fits."""
    errors = pd.read_csv(fitted.errors)
    ids = errors["id"].tolist()
    columns = []
    for when, title, store in (("initial", "before", fitted.before), ("final", "after", fitted.after)):
        state = store.get(ids).state
        error = errors[f"{when}_pa_mpjpe_mm"].to_numpy(dtype=float)
        bodies = (state.pose.numpy(), state.betas.numpy(), state.translation.numpy())
        columns.append(BodyColumn(title, *bodies, error))
    before, after = columns
    change = after.error - before.error
    is_replaced = (after.pose != before.pose).any(1) | (after.betas != before.betas).any(1)
    change[~is_replaced] = np.nan
    with CropReader(fitted.crops) as reader:
        crops = CropPictures(reader, fitted.records, params.tile_px)
        people = tuple(
            TileRow(
                ids[row], _change_name(quantile, change[row]), _tiles(crops[ids[row]], body, columns, row)
            )
            for quantile, row in at_quantiles(change, ids, params.fit_quantiles)
        )
    n, total = int(np.isfinite(change).sum()), int(np.isfinite(before.error).sum())
    return Sheet(
        f"figure4_{fitted.split.key}",
        "The fits of the same training images before and after training "
        f"({fitted.split.label}; {fitted.training.label})",
        "People are chosen by the rank of the change of their fit's PA-MPJPE, from the most improved to the "
        f"most worsened, among the {n:,} of {total:,} people whose fit was replaced during training.",
        people,
    )


def _test_sheets(
    evaluated: EvaluatedSplit, body: BodyModel, params: ReportParams
) -> tuple[Sheet, Sheet, Sheet | None]:
    """Figures 5 and 6 and, where there are fits with an error in mm, 2 of one test split."""
    networks = [
        _column(training.label, scored, evaluated.metric)
        for training, scored in zip(evaluated.trainings, evaluated.scored, strict=True)
    ]
    ids, error = evaluated.scored[-1].predictions.ids, networks[-1].error
    split, metric = evaluated.split, evaluated.metric_title
    with CropReader(evaluated.crops) as reader:
        crops = CropPictures(reader, evaluated.records, params.tile_px)
        ranked = [
            (quantile_name(quantile, "least error", "greatest error"), row)
            for quantile, row in at_quantiles(error, ids, params.prediction_quantiles)
        ]
        known = np.flatnonzero(np.isfinite(error)).tolist()
        order = sorted(known, key=lambda row: (-error[row], ids[row]))
        worst = [(f"worst {place}", row) for place, row in enumerate(order[: params.n_worst], 1)]
        predicted, failed = (
            tuple(TileRow(ids[row], rank, _tiles(crops[ids[row]], body, networks, row)) for rank, row in rows)
            for rows in (ranked, worst)
        )
        has_steps = evaluated.fitted is not None and evaluated.metric == "pa_mpjpe_mm"
        step = _step_sheet(evaluated, networks[-1], crops, body, params) if has_steps else None
    predictions = Sheet(
        f"figure5_{split.key}",
        f"Predictions on test images ({split.label})",
        f"People are chosen by the rank of the last column's {metric} in the whole split, from the best to "
        "the worst.",
        predicted,
    )
    return (
        predictions,
        Sheet(
            f"figure6_{split.key}",
            f"Worst predictions ({split.label})",
            f"The people whose prediction in the last column is worst by {metric}, none left out.",
            failed,
        ),
        step,
    )


def _step_sheet(
    evaluated: EvaluatedSplit,
    network: BodyColumn,
    crops: CropPictures,
    body: BodyModel,
    params: ReportParams,
) -> Sheet:
    """Figures 2 and 3: image, 2D joints, the network's prediction, the fit that starts from it."""
    assert evaluated.fitted is not None
    ids = evaluated.fitted.predictions.ids
    rows = rows_of(evaluated.scored[-1].predictions.ids, ids, evaluated.crops)
    bodies = (network.pose[rows], network.betas[rows], network.translation[rows])
    start = BodyColumn("network", *bodies, network.error[rows])
    fit = _column("fit from network", evaluated.fitted, evaluated.metric)
    keypoints = image_keypoints(evaluated.records.iloc[rows]).numpy().astype(np.float64)
    change, people = fit.error - start.error, []
    for quantile, row in at_quantiles(change, ids, params.step_quantiles):
        image = crops[ids[row]]
        first, *others = _tiles(image, body, (start, fit), row)
        tiles = (first, Tile("2D joints", _with_joints(image, keypoints[row])), *others)
        people.append(TileRow(ids[row], _change_name(quantile, change[row]), tiles))
    return Sheet(
        f"figure2_{evaluated.split.key}",
        f"Network, fit, supervision ({evaluated.split.label})",
        f"Network of the training: {evaluated.trainings[-1].label}.",
        tuple(people),
    )


def _column(title: str, scored: StoredPredictions, metric: str) -> BodyColumn:
    predicted, values = scored.predictions, scored.errors[metric]
    translation = camera_to_translation(torch.from_numpy(predicted.camera)).numpy()
    bodies = (predicted.rotations, predicted.betas, translation)
    if metric == "pa_mpjpe_mm":
        return BodyColumn(title, *bodies, values)
    return BodyColumn(title, *bodies, 1.0 - values, [f"F1 {value:.2f}" for value in values])


def _change_name(quantile: float, change_mm: float) -> str:
    name = quantile_name(quantile, "most improved", "most worsened")
    return f"{name}, {signed(float(change_mm))} mm"


def _tiles(
    image: UInt8[np.ndarray, "S S 3"], body: BodyModel, columns: Sequence[BodyColumn], row: int
) -> tuple[Tile, ...]:
    return (Tile("image", image), *(column.tile(image, body, row) for column in columns))


def _with_joints(
    image: UInt8[np.ndarray, "S S 3"], keypoints: Float[np.ndarray, "K 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """The crop, of any size, with a dot on every joint (px of the 224 px crop) that has confidence."""
    known = keypoints[keypoints[:, 2] > 0, :2] * (image.shape[0] / CROP_PX)
    return draw_joints(image, known, max(2, round(_DOT_SHARE * image.shape[0])), [_JOINT_COLOR] * len(known))
