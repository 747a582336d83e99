"""The report as Markdown, with files of figures and tables, and as one HTML page that needs no other file."""

import os
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from spinloop.files import atomic
from spinloop.rendering.pictures import contact_sheet
from spinloop.reporting.charts import Chart, standalone
from spinloop.reporting.figures import Sheet
from spinloop.reporting.gallery import JPEG_QUALITY, data_uri
from spinloop.reporting.tables import MISSING, Table, to_csv, to_latex, to_markdown
from spinloop.reporting.viewer import Viewer, viewer_json, viewer_script
from spinloop.tables.images import encode_jpeg

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
