"""The report's pages: exact Markdown, and an HTML page that needs nothing else."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from spinloop.reporting.page import html_page, markdown_page, write_report
from spinloop.reporting.tables import to_latex

GOLDEN = Path(__file__).parent / "golden"


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
    assert markdown_page(report, "figures") == (GOLDEN / "evaluation.md").read_text(encoding="utf-8")


def test_latex_is_exactly_the_golden_tables(report):
    assert "\n".join(map(to_latex, report.tables)) == (GOLDEN / "tables.tex").read_text(encoding="utf-8")


def test_html_is_well_formed_and_complete(report):
    page = Page(html_page(report))
    assert page.open == []
    assert len(page.all("table")) == len(report.tables) >= 11
    assert len(page.all("svg")) == len(report.charts)
    assert len(page.all("tr")) == sum(len(table.rows) + 1 for table in report.tables)
    anchors = {attributes["href"] for attributes in page.all("a")}
    ids = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert anchors <= ids


def test_html_sends_no_request(report):
    text = html_page(report)
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"{tag} {name}={value[:60]}"
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert all("src" not in attributes for attributes in page.all("script"))
    for address in re.findall(r"https?://[^\"\s<]+", text):
        assert address == "http://www.w3.org/2000/svg", "only the name of SVG may look like an address"


def test_images_are_embedded_and_readable(report):
    sources = [attributes["src"] for attributes in Page(html_page(report)).all("img")]
    assert len(sources) == 15
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
