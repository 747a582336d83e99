"""The page's 3D viewer: meshes of chosen people, as text that `assets/viewer.js` decodes.

Vertices are 16-bit numbers within each mesh's bounding box, which keeps a person's mesh accurate to 0.03 mm
in 55 kB; all meshes share their faces.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from spinloop.body.model import BodyModel
from spinloop.evaluation.truth import NEUTRAL, gendered_vertices, rows_of, true_bodies
from spinloop.params.evaluation import ReportParams
from spinloop.reporting.figures import at_quantiles, quantile_name
from spinloop.reporting.splits import EvaluatedSplit

_MAX_UINT16 = 65535


@dataclass(frozen=True)
class MeshLayer:
    """One mesh of a person."""

    name: str
    """What it is, e.g. `network`."""
    vertices: Float[np.ndarray, "V 3"]
    """Metres, camera axes, relative to the pelvis."""


@dataclass(frozen=True)
class ViewerPerson:
    """One person, with meshes that are shown together."""

    id: str
    caption: str
    """Rank and error."""
    layers: tuple[MeshLayer, ...]


@dataclass(frozen=True)
class Viewer:
    """Contents of the viewer."""

    title: str
    caption: str
    faces: Int[np.ndarray, "F 3"]
    people: tuple[ViewerPerson, ...]


@torch.no_grad()
def make_viewer(evaluated: EvaluatedSplit, bodies: Mapping[str, BodyModel], params: ReportParams) -> Viewer:
    """The last training's predictions, the fits that start from them, and the truth, at ranks of the error.

    Args:
        evaluated: a test split.
        bodies: `neutral`, `female` and `male`.
        params: gives the ranks.
    """
    last, error = evaluated.scored[-1], evaluated.scored[-1].errors[evaluated.metric]
    has_joints = evaluated.metric == "pa_mpjpe_mm"
    chosen = at_quantiles(error if has_joints else 1.0 - error, last.predictions.ids, params.viewer_quantiles)
    rows = np.array([row for _, row in chosen])
    predicted = (last.predictions.rotations[rows], last.predictions.betas[rows])
    layers = {"network": _posed_vertices(bodies[NEUTRAL], *predicted)}
    fitted = {} if evaluated.fitted is None else _fitted_vertices(evaluated, rows, bodies[NEUTRAL])
    records = evaluated.records.iloc[rows]
    if all(pose is not None for pose in records["pose"]):
        truth = true_bodies(records, evaluated.annotations)
        pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (truth.pose, truth.betas))
        vertices = gendered_vertices(bodies, pose, betas, truth.genders)
        layers["truth"] = _relative_to_pelvis(bodies[NEUTRAL], vertices)
    people = []
    for place, (quantile, row) in enumerate(chosen):
        meshes = [MeshLayer(name, vertices[place]) for name, vertices in layers.items()]
        if row in fitted:
            meshes.insert(1, MeshLayer("fit from network", fitted[row]))
        number = f"{error[row]:.0f} mm PA-MPJPE" if has_joints else f"F1 {error[row]:.2f}"
        rank = quantile_name(quantile, "least error", "greatest error")
        people.append(ViewerPerson(last.predictions.ids[row], f"{rank}: {number}", tuple(meshes)))
    return Viewer(
        f"In three dimensions ({evaluated.split.label})",
        f"Predictions of the network ({evaluated.trainings[-1].label}), the fits that start from them, and "
        "the truth, all aligned at the pelvis and seen along the camera's axis. Drag to rotate; ctrl and "
        "wheel, or two fingers, to zoom.",
        bodies[NEUTRAL].faces.numpy(),
        tuple(people),
    )


def _fitted_vertices(
    evaluated: EvaluatedSplit, rows: Int[np.ndarray, " N"], body: BodyModel
) -> dict[int, Float[np.ndarray, "V 3"]]:
    """Vertices of the fits of those of `rows` who have one, by row."""
    assert evaluated.fitted is not None
    predicted, fits = evaluated.scored[-1].predictions, evaluated.fitted.predictions
    place = {key: index for index, key in enumerate(fits.ids)}
    known = [int(row) for row in rows if predicted.ids[row] in place]
    if not known:
        return {}
    chosen = rows_of(fits.ids, [predicted.ids[row] for row in known], evaluated.crops)
    vertices = _posed_vertices(body, fits.rotations[chosen], fits.betas[chosen])
    return dict(zip(known, vertices, strict=True))


def _posed_vertices(
    body: BodyModel, rotations: Float[np.ndarray, "N 24 3 3"], betas: Float[np.ndarray, "N 10"]
) -> Float[np.ndarray, "N V 3"]:
    vertices = body.vertices(torch.from_numpy(rotations), torch.from_numpy(betas))
    return _relative_to_pelvis(body, vertices)


def _relative_to_pelvis(
    body: BodyModel, vertices: Float[torch.Tensor, "N V 3"]
) -> Float[np.ndarray, "N V 3"]:
    return (vertices - body.regress_h36m(vertices)[:, :1]).numpy().astype(np.float64)


def viewer_json(viewer: Viewer) -> str:
    """The meshes as JSON that may stand in a `<script>` element; the same meshes give the same text.

    Raises:
        ValueError: a mesh has more vertices than 16-bit faces can address.
    """
    if viewer.faces.max() > _MAX_UINT16:
        raise ValueError("the viewer shows at most 65,536 vertices")
    people = [
        {
            "id": person.id,
            "caption": person.caption,
            "layers": [_quantized(layer) for layer in person.layers],
        }
        for person in viewer.people
    ]
    text = json.dumps({"faces": _base64(viewer.faces.astype("<u2")), "people": people}, ensure_ascii=True)
    # `</script>` in a name must not end the element.
    return text.replace("<", "\\u003c")


def viewer_script() -> str:
    """The viewer's program."""
    return files("spinloop").joinpath("assets", "viewer.js").read_text(encoding="utf-8")


def _quantized(layer: MeshLayer) -> dict[str, Any]:
    low = layer.vertices.min(0)
    extent = np.maximum(layer.vertices.max(0) - low, 1e-9)
    numbers = np.rint((layer.vertices - low) / extent * _MAX_UINT16).astype("<u2")
    box = {
        name: [round(float(value), 5) for value in values]
        for name, values in (("low", low), ("extent", extent))
    }
    return {"name": layer.name, **box, "vertices": _base64(numbers)}


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")
