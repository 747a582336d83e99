"""The report's pages: exact Markdown, and an HTML page that needs nothing else."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from spinloop.reporting.contents import Material, build_report, lineage_table, recipe
from spinloop.reporting.pages import html_page, markdown_page, write_report
from spinloop.reporting.results import Split
from spinloop.reporting.table import Estimate
from spinloop.reporting.verdict import Change

GOLDEN = Path(__file__).parent / "golden" / "evaluation.md"


@pytest.fixture
def report(settings, published, sheet, tmp_path):
    data = tmp_path / "data.bin"
    data.write_bytes(b"spinloop")
    lineage = lineage_table([data], "pw3d@1", {"train": {"n_steps": 2000}})
    rows = [row for row in lineage.rows if row.cells[0] != "input"]
    lineage = type(lineage)(lineage.key, lineage.title, lineage.columns, tuple(rows), lineage.notes)
    predictions = type(sheet)("figure5", "Predictions", "Chosen by rank.", sheet.people[:1])
    stats = {
        "coco train preprocess": {
            "read": 1700,
            "kept": 1650,
            "left_out": {"no_visible_joint": 50},
            "noted": {},
        },
        "coco train merge": {"read": 1650, "kept": 1650, "left_out": {}, "noted": {"matched": 1600}},
    }
    network = {"backbone": "resnet18", "width": 24, "image_px": 64}
    return build_report(
        Material(
            settings=settings,
            train=Split("coco", True),
            test=Split("pw3d", True),
            change=Change(-10.0, -12.5, -7.5, 480),
            recipe=recipe(network, {"n_steps": 2000, "batch_size": 64}),
            published=published,
            stats=stats,
            statuses={"converged": 1500, "rejected_reprojection": 90, "too_few_joints": 10},
            origins={"initial": 700, "loop": 800},
            figure_4=sheet,
            figure_5=predictions,
            lineage=lineage,
            is_free_body=True,
        )
    )


class Page(HTMLParser):
    """Collects tags and notices whether they are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.rows = [], [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_markdown_is_exactly_the_golden_page(report):
    assert markdown_page(report, "figures") == GOLDEN.read_text(encoding="utf-8")


def test_html_is_well_formed_and_complete(report):
    page = Page(html_page(report))
    assert page.open == []
    assert len(page.all("table")) == len(report.tables) == 6
    assert len(page.all("svg")) == len(report.charts)
    assert len(page.all("tr")) == sum(len(table.rows) + 1 for table in report.tables)
    anchors = {attributes["href"] for attributes in page.all("a")}
    ids = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert anchors <= ids


def test_html_asks_for_nothing_from_elsewhere(report):
    text = html_page(report)
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"{tag} {name}={value[:60]}"
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("script")
    for address in re.findall(r"https?://[^\"\s<]+", text):
        assert address == "http://www.w3.org/2000/svg", "only the name of SVG may look like an address"


def test_images_are_embedded_and_readable(report):
    sources = [attributes["src"] for attributes in Page(html_page(report)).all("img")]
    assert len(sources) == 9
    for source in sources:
        head, content = source.split(",", 1)
        assert head == "data:image/jpeg;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (64, 64, 3)


def test_every_image_has_a_description(report):
    page = Page(html_page(report))
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert all(attributes["aria-label"] for attributes in page.all("svg"))


def test_names_from_data_cannot_become_markup(report):
    text = html_page(report)
    assert "toy/&lt;a&gt;.jpg#0" in text
    assert "<a>.jpg" not in text


def test_published_and_mirror_numbers_never_share_a_column(report):
    table = next(table for table in report.tables if table.key == "table1")
    for index, column in enumerate(table.columns[1:], 1):
        origins = {row.origin for row in table.rows if isinstance(row.cells[index], float | Estimate)}
        assert len(origins) <= 1, column.title
    assert {row.mark for row in table.rows} == {"published, 3DPW", "mirror of 3DPW"}


def test_the_same_results_give_the_same_bytes(report, tmp_path):
    written = []
    for name in ("one", "two"):
        folder = tmp_path / name
        write_report(report, folder / "e.md", folder / "i.html", folder / "figures", folder / "tables")
        written.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert written[0] == written[1]
    names = {path.as_posix() for path in written[0]}
    linked = set(re.findall(r"\]\(([^)]+)\)", (tmp_path / "one" / "e.md").read_text()))
    assert linked <= names
    assert {"tables/table1.tex", "tables/table1.csv", "figures/figure4.jpg"} <= names


def test_lineage_names_content_not_place(tmp_path):
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"spinloop")
    second.write_bytes(b"spinloop")
    rows = lineage_table([second, first, first], "pw3d@1", {"train": {"b": 1, "a": 2}}).rows
    again = lineage_table([first], "pw3d@1", {"train": {"a": 2, "b": 1}}).rows
    assert rows[1].cells == again[1].cells
    assert [row.cells[1] for row in rows[2:]] == [first.as_posix(), second.as_posix()]
    assert rows[2].cells[2] == rows[3].cells[2] == "d24bee6cf3e1a532"
