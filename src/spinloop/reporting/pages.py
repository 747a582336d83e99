"""A report as Markdown with figure files beside it, and as one HTML page that needs nothing else."""

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from spinloop.files import atomic
from spinloop.reporting.charts import STYLE, standalone
from spinloop.reporting.document import Report
from spinloop.reporting.people import contact_sheet
from spinloop.reporting.picture_page import data_uri, encode_jpeg
from spinloop.reporting.viewer import viewer_json, viewer_script
from spinloop.reporting.writers import to_csv, to_html, to_latex, to_markdown


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
        _write(folder / f"{sheet.key}.jpg", encode_jpeg(contact_sheet(sheet)))


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
