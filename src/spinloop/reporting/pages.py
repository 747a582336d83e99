"""What a report consists of, before it is Markdown or HTML.

Pictures inside a page that needs no other file.

Meshes for the page's 3D viewer: quantized, as text that the page decodes.

Vertices are 16-bit numbers within each mesh's box (a person's mesh is then right to 0.03 mm and takes 55 kB);
all meshes share their faces.

A report as Markdown with figure files beside it, and as one HTML page that needs nothing else.
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined

from spinloop.files import atomic
from spinloop.rendering.pictures import contact_sheet
from spinloop.reporting.charts import STYLE, Chart, standalone
from spinloop.reporting.pictures import Sheet
from spinloop.reporting.table import Table, to_csv, to_html, to_latex, to_markdown
from spinloop.tables.images import encode_jpeg


@dataclass(frozen=True)
class Layer:
    """One mesh of a person."""

    name: str
    """What it is, e.g. `network`."""
    vertices: Float[np.ndarray, "V 3"]
    """Metres, camera axes, seen from the pelvis."""


@dataclass(frozen=True)
class Model:
    """One person with meshes that can be laid over each other."""

    id: str
    caption: str
    """Why this person is shown, and its numbers."""
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Viewer:
    """What the viewer shows."""

    title: str
    caption: str
    faces: Int[np.ndarray, "F 3"]
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Section:
    """One heading and what stands under it, in this order."""

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
        """Whether nothing stands under the heading."""
        return not (self.paragraphs or self.tables or self.charts or self.sheets or self.viewer)


@dataclass(frozen=True)
class Report:
    """The whole report."""

    title: str
    lead: tuple[str, ...]
    """What a reader who reads no further should know."""
    sections: tuple[Section, ...]

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


_JPEG_QUALITY = 88
_GAP_PX = 6


def page(title: str, sheets: Sequence[tuple[str, str]]) -> str:
    """A page that needs no other file.

    Args:
        title: of the page.
        sheets: caption and `data:` address of each picture.
    """
    figures = "\n".join(
        f'<figure><img src="{address}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for caption, address in sheets
    )
    style = (
        "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>\n'
        f"<body><h1>{title}</h1>\n{figures}\n</body></html>\n"
    )


def data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """The image as a `data:` address, so that a page needs no other file."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image, _JPEG_QUALITY)).decode('ascii')}"


_STEPS = 65535


def viewer_json(viewer: Viewer) -> str:
    """The meshes as JSON that may stand in a `<script>` element; the same meshes give the same text.

    Raises:
        ValueError: a mesh has more vertices than 16-bit faces can name.
    """
    if viewer.faces.max() > _STEPS:
        raise ValueError("the viewer draws at most 65,536 vertices")
    models = [
        {
            "id": model.id,
            "caption": model.caption,
            "layers": [_quantized(layer) for layer in model.layers],
        }
        for model in viewer.models
    ]
    text = json.dumps({"faces": _text(viewer.faces.astype("<u2")), "models": models}, ensure_ascii=True)
    # `</script>` in a name must not end the element.
    return text.replace("<", "\\u003c")


def viewer_script() -> str:
    """The viewer's program."""
    return files("spinloop").joinpath("assets", "viewer.js").read_text(encoding="utf-8")


def _quantized(layer: Layer) -> dict[str, Any]:
    low = layer.vertices.min(0)
    extent = np.maximum(layer.vertices.max(0) - low, 1e-9)
    numbers = np.rint((layer.vertices - low) / extent * _STEPS).astype("<u2")
    rounded = {"low": low, "extent": extent}
    box = {name: [round(float(value), 5) for value in values] for name, values in rounded.items()}
    return {"name": layer.name, **box, "vertices": _text(numbers)}


def _text(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


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
    write_figures(figures, report)
    write_tables(tables, report)
    _write(markdown, markdown_page(report, folder).encode())
    _write(page, html_page(report).encode())


def markdown_page(report: Report, folder: str) -> str:
    """The report as Markdown.

    Args:
        report: its contents.
        folder: where the figures of `write_figures` lie, as seen from the page.
    """
    template = _environment(is_html=False).get_template("report.md.jinja")
    text = template.render(report=report, folder=folder, to_markdown=to_markdown)
    return text.rstrip("\n") + "\n"


def html_page(report: Report) -> str:
    """The report as one HTML page: images, charts and meshes inline, no request to anywhere."""
    template = _environment(is_html=True).get_template("report.html.jinja")
    functions = {"to_html": to_html, "data_uri": data_uri, "viewer_json": viewer_json}
    return template.render(report=report, chart_style=STYLE, script=viewer_script(), **functions) + "\n"


def write_figures(folder: Path, report: Report) -> None:
    """Write each chart (`<key>.svg`) and each sheet of pictures (`<key>.jpg`)."""
    for chart in report.charts:
        _write(folder / f"{chart.key}.svg", standalone(chart.svg()).encode())
    for sheet in report.sheets:
        rows = [[tile.image for tile in person.tiles] for person in sheet.people]
        _write(folder / f"{sheet.key}.jpg", encode_jpeg(contact_sheet(rows, _GAP_PX), _JPEG_QUALITY))


def write_tables(folder: Path, report: Report) -> None:
    """Write each table as `<key>.csv` and `<key>.tex`."""
    for table in report.tables:
        _write(folder / f"{table.key}.csv", to_csv(table).encode())
        _write(folder / f"{table.key}.tex", to_latex(table).encode())


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
