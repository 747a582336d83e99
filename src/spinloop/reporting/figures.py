"""Glue of the report: the figures of people.

Glue of the report: the meshes that the page's viewer shows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from spinloop.body.model import BodyModel
from spinloop.evaluation.offline_fits import image_keypoints
from spinloop.evaluation.predict import Scored
from spinloop.evaluation.truth import NEUTRAL, gendered_vertices, rows_of, truth_of
from spinloop.geometry.camera import camera_to_translation
from spinloop.params.evaluation import ReportParams
from spinloop.reporting.contents import Pictures
from spinloop.reporting.gather import Tested, Trained
from spinloop.reporting.pages import Layer, Model, Viewer
from spinloop.reporting.pictures import (
    Crops,
    Drawn,
    Sheet,
    Shown,
    at_quantiles,
    fits_sheet,
    predictions_sheet,
    quantile_name,
    step_sheet,
    worst_sheet,
)
from spinloop.tables.crops import CropReader


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


@torch.no_grad()
def viewer_of(tested: Tested, bodies: Mapping[str, BodyModel], params: ReportParams) -> Viewer:
    """The last setting's prediction, the fit from it and the truth of people at ranks of the error.

    Args:
        tested: the split.
        bodies: `neutral`, `female` and `male`.
        params: which ranks.
    """
    last, error = tested.scored[-1], tested.scored[-1].errors[tested.metric]
    ranked = error if tested.metric == "pa_mpjpe_mm" else 1.0 - error
    chosen = at_quantiles(ranked, last.predictions.ids, params.viewer_quantiles)
    rows = np.array([row for _, row in chosen])
    layers = {
        "network": _seen(bodies[NEUTRAL], last.predictions.rotations[rows], last.predictions.betas[rows])
    }
    fitted = {} if tested.fitted is None else _fitted(tested, rows, bodies[NEUTRAL])
    records = tested.records.iloc[rows]
    if all(pose is not None for pose in records["pose"]):
        truth = truth_of(records, tested.annotations)
        pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (truth.pose, truth.betas))
        layers["truth"] = _from_pelvis(bodies[NEUTRAL], gendered_vertices(bodies, pose, betas, truth.genders))
    models = []
    for place, (quantile, row) in enumerate(chosen):
        meshes = [Layer(name, vertices[place]) for name, vertices in layers.items()]
        if row in fitted:
            meshes.insert(1, Layer("fit from network", fitted[row]))
        number = f"{error[row]:.0f} mm PA-MPJPE" if tested.metric == "pa_mpjpe_mm" else f"F1 {error[row]:.2f}"
        rule = quantile_name(quantile, "least error", "greatest error")
        models.append(Model(last.predictions.ids[row], f"{rule}: {number}", tuple(meshes)))
    return Viewer(
        f"In three dimensions ({tested.split.label})",
        f"Predictions of the network ({tested.settings[-1].label}), the fits that start from them, and the "
        "truth; all brought together at the pelvis, seen along the camera's axis. Drag to turn; ctrl and "
        "wheel, or two fingers, to come nearer.",
        bodies[NEUTRAL].faces.numpy(),
        tuple(models),
    )


def _fitted(tested: Tested, rows: np.ndarray, body: BodyModel) -> dict[int, Float[np.ndarray, "V 3"]]:
    """Vertices of the fits of those of `rows` who have one, by row."""
    assert tested.fitted is not None
    predicted, fits = tested.scored[-1].predictions, tested.fitted.predictions
    place = {key: index for index, key in enumerate(fits.ids)}
    known = [int(row) for row in rows if predicted.ids[row] in place]
    if not known:
        return {}
    chosen = rows_of(fits.ids, [predicted.ids[row] for row in known], tested.crops)
    return dict(zip(known, _seen(body, fits.rotations[chosen], fits.betas[chosen]), strict=True))


def _seen(body: BodyModel, rotations: np.ndarray, betas: np.ndarray) -> Float[np.ndarray, "N V 3"]:
    return _from_pelvis(body, body.vertices(torch.from_numpy(rotations), torch.from_numpy(betas)))


def _from_pelvis(body: BodyModel, vertices: torch.Tensor) -> Float[np.ndarray, "N V 3"]:
    return (vertices - body.regress_h36m(vertices)[:, :1]).numpy().astype(np.float64)
