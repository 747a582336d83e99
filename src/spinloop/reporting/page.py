"""The report as Markdown with files of figures and tables, and as one HTML page that needs no other file.

The page's 3D viewer gets the meshes of chosen people as text that `assets/viewer.js` decodes. Vertices are
16-bit numbers within each mesh's bounding box, which keeps a person's mesh accurate to 0.03 mm in 55 kB; all
meshes share their faces.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from jinja2 import Environment, PackageLoader, StrictUndefined

from spinloop.body.model import BodyModel
from spinloop.evaluation.truth import NEUTRAL, gendered_vertices, rows_of, true_bodies
from spinloop.files import atomic
from spinloop.params.evaluation import ReportParams
from spinloop.rendering.pictures import contact_sheet
from spinloop.reporting.charts import Chart, standalone
from spinloop.reporting.figures import Sheet, at_quantiles, quantile_name
from spinloop.reporting.gallery import JPEG_QUALITY, data_uri
from spinloop.reporting.splits import EvaluatedSplit
from spinloop.reporting.tables import MISSING, Table, to_csv, to_latex, to_markdown
from spinloop.tables.images import encode_jpeg

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


_GAP_PX = 6


@dataclass(frozen=True)
class ReportSection:
    """A heading and its contents, in this order."""

    key: str
    """Anchor."""
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    viewer: Viewer | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it has no contents."""
        return not (self.paragraphs or self.tables or self.charts or self.sheets or self.viewer)


@dataclass(frozen=True)
class Report:
    """The whole report."""

    title: str
    lead: tuple[str, ...]
    """Summary, before the first section."""
    sections: tuple[ReportSection, ...]

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in self.sections for table in section.tables]

    @property
    def charts(self) -> list[Chart]:
        """All charts, in order."""
        return [chart for section in self.sections for chart in section.charts]

    @property
    def sheets(self) -> list[Sheet]:
        """All sheets of pictures, in order."""
        return [sheet for section in self.sections for sheet in section.sheets]

    @property
    def viewer(self) -> Viewer | None:
        """The 3D viewer; a page has one at most."""
        return next((section.viewer for section in self.sections if section.viewer), None)


def write_report(report: Report, markdown: Path, page: Path, figures: Path, tables: Path) -> None:
    """Write the report in all its forms.

    Args:
        report: its contents.
        markdown: the Markdown page.
        page: the HTML page.
        figures: folder of the Markdown page's figures: each chart `<key>.svg`, each sheet `<key>.jpg`.
        tables: folder of the tables: each `<key>.csv` and `<key>.tex`.
    """
    folder = Path(os.path.relpath(figures, markdown.parent)).as_posix()
    for chart in report.charts:
        _write(figures / f"{chart.key}.svg", standalone(chart.svg()).encode())
    for sheet in report.sheets:
        rows = [[tile.image for tile in person.tiles] for person in sheet.people]
        _write(figures / f"{sheet.key}.jpg", encode_jpeg(contact_sheet(rows, _GAP_PX), JPEG_QUALITY))
    for table in report.tables:
        _write(tables / f"{table.key}.csv", to_csv(table).encode())
        _write(tables / f"{table.key}.tex", to_latex(table).encode())
    _write(markdown, markdown_page(report, folder).encode())
    _write(page, html_page(report).encode())


def markdown_page(report: Report, folder: str) -> str:
    """The report as Markdown.

    Args:
        report: its contents.
        folder: of the figures, relative to the page.
    """
    template = _environment(is_html=False).get_template("report.md.jinja")
    text = template.render(report=report, folder=folder, to_markdown=to_markdown)
    return text.rstrip("\n") + "\n"


def html_page(report: Report) -> str:
    """The report as one HTML page, with images, charts and meshes inline and no request to any server."""
    template = _environment(is_html=True).get_template("report.html.jinja")
    names = {"data_uri": data_uri, "viewer_json": viewer_json, "script": viewer_script(), "MISSING": MISSING}
    return template.render(report=report, **names) + "\n"


def _write(path: Path, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _environment(is_html: bool) -> Environment:
    return Environment(
        loader=PackageLoader("spinloop", "assets"),
        autoescape=is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        undefined=StrictUndefined,
    )
