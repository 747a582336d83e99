"""Glue of the report: the figures of people."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from spinloop.annotations.crops import CropReader
from spinloop.body.model import BodyModel
from spinloop.evaluation.compare import Scored
from spinloop.evaluation.meshes import NEUTRAL
from spinloop.evaluation.refits import image_keypoints
from spinloop.evaluation.truth import rows_of
from spinloop.geometry.camera import camera_to_translation
from spinloop.params.evaluation import ReportParams
from spinloop.reporting.contents import Pictures
from spinloop.reporting.people import Sheet
from spinloop.reporting.pictures import (
    Crops,
    Drawn,
    Shown,
    fits_sheet,
    predictions_sheet,
    step_sheet,
    worst_sheet,
)
from spinloop.stages._gather import Tested, Trained
from spinloop.stages._models3d import viewer_of


def draw_pictures(
    trained: Sequence[Trained],
    tested: Sequence[Tested],
    bodies: Mapping[str, BodyModel],
    params: ReportParams,
) -> Pictures:
    """All figures of people.

    Args:
        trained: training splits with their fits.
        tested: test splits with their predictions.
        bodies: `neutral`, `female` and `male`.
        params: which ranks, how large.
    """
    body = bodies[NEUTRAL]
    sheets = [_test_figures(each, body, params) for each in tested]
    fits = [_fits_figure(each, body, params) for each in trained]
    return Pictures(
        overview=tuple(step for *_, step in sheets if step is not None),
        fits=tuple(sheet for sheet in fits if sheet.people),
        predictions=tuple(predicted for predicted, *_ in sheets),
        worst=tuple(worst for _, worst, _ in sheets),
        viewer=viewer_of(tested[0], bodies, params) if tested else None,
    )


def _fits_figure(trained: Trained, body: BodyModel, params: ReportParams) -> Sheet:
    """Figure 4: fits before and after training of people chosen by the change."""
    errors = pd.read_csv(trained.people)
    ids = errors["id"].tolist()
    columns = []
    for when, title, store in (("initial", "before", trained.before), ("final", "after", trained.after)):
        state = store.get(ids).state
        error = errors[f"{when}_pa_mpjpe_mm"].to_numpy(dtype=float)
        bodies = (state.pose.numpy(), state.betas.numpy(), state.translation.numpy())
        columns.append(Drawn(title, *bodies, error))
    with CropReader(trained.crops) as reader:
        pictures = Crops(reader, trained.records, params.tile_px)
        named = (trained.split.key, trained.split.label, trained.setting.label)
        chosen = (columns[0], columns[1], params.fit_quantiles)
        return fits_sheet(*named, pictures, body, ids, *chosen)


def _test_figures(tested: Tested, body: BodyModel, params: ReportParams) -> tuple[Sheet, Sheet, Sheet | None]:
    """Figures 5, 6 and, where something was fitted, 2, of one test split."""
    networks = [
        _drawn(setting.label, scored, tested.metric)
        for setting, scored in zip(tested.settings, tested.scored, strict=True)
    ]
    metric = {"pa_mpjpe_mm": "PA-MPJPE", "parts_f1": "F1 of parts"}[tested.metric]
    ids = tested.scored[-1].predictions.ids
    with CropReader(tested.crops) as reader:
        pictures = Crops(reader, tested.records, params.tile_px)
        shown = Shown(tested.split.key, tested.split.label, metric, pictures, body, ids, networks)
        step = _step(tested, shown, params) if tested.fitted and tested.metric == "pa_mpjpe_mm" else None
        predicted = predictions_sheet(shown, params.prediction_quantiles)
        return predicted, worst_sheet(shown, params.n_worst), step


def _step(tested: Tested, shown: Shown, params: ReportParams) -> Sheet:
    assert tested.fitted is not None
    ids = tested.fitted.predictions.ids
    rows = rows_of(shown.ids, ids, tested.crops)
    network = shown.networks[-1]
    bodies = (network.pose[rows], network.betas[rows], network.translation[rows])
    some = Drawn("network", *bodies, network.error[rows])
    fitted = _drawn("fit from there", tested.fitted, tested.metric)
    known = Shown(shown.key, shown.label, shown.metric, shown.crops, shown.body, ids, [some])
    keypoints = image_keypoints(tested.records.iloc[rows]).numpy().astype(np.float64)
    return step_sheet(known, tested.settings[-1].label, keypoints, fitted, params.step_quantiles)


def _drawn(title: str, scored: Scored, metric: str) -> Drawn:
    predicted, values = scored.predictions, scored.errors[metric]
    translation = camera_to_translation(torch.from_numpy(predicted.camera)).numpy()
    bodies = (predicted.rotations, predicted.betas, translation)
    if metric == "pa_mpjpe_mm":
        return Drawn(title, *bodies, values)
    return Drawn(title, *bodies, 1.0 - values, [f"F1 {value:.2f}" for value in values])
