"""Glue of the report: the meshes that the page's viewer shows."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from spinloop.body.model import BodyModel
from spinloop.evaluation.meshes import NEUTRAL, gendered_vertices
from spinloop.evaluation.truth import rows_of, truth_of
from spinloop.params.evaluation import ReportParams
from spinloop.reporting.people import at_quantiles, quantile_name
from spinloop.reporting.viewer import Layer, Model, Viewer
from spinloop.stages._gather import Tested


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
