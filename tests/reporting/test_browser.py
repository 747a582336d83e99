"""The page in a real browser (headless Chromium): no errors, everything is visible, also on a phone."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from spinloop.reporting.page import MeshLayer, Viewer, ViewerPerson, html_page
from spinloop.reporting.sections import build_report

pytestmark = pytest.mark.slow
BROWSER = next(
    (name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--enable-logging=stderr",
    "--virtual-time-budget=4000",
    "--allow-file-access-from-files",
    "--window-size=1400,1000",
)

# Runs in a page that holds the report in a frame of the wanted width, and writes what it finds into itself.
CHECKS = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => setTimeout(() => {
  const page = frame.contentDocument;
  page.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
  const visible = (element) => element.getBoundingClientRect().height > 0;
  const canvas = page.querySelector("#viewer canvas");
  const before = canvas.toDataURL();
  page.querySelector("#viewer .next").click();
  const found = {
    width: page.documentElement.clientWidth,
    content: page.documentElement.scrollWidth,
    tables: [...page.querySelectorAll("figure.table table")].filter(visible).length,
    charts: [...page.querySelectorAll(".charts svg")].filter(visible).length,
    images: page.images.length,
    broken: [...page.images].filter((image) => image.complete && image.naturalWidth === 0).length,
    viewer: page.querySelector("#viewer").dataset.state,
    person: page.querySelector("#viewer .person").textContent,
    canvas: before,
    changes: before !== canvas.toDataURL(),
    button: page.querySelector("#viewer .next").getBoundingClientRect().height,
    text: parseFloat(frame.contentWindow.getComputedStyle(page.querySelector("td")).fontSize),
    dark: frame.contentWindow.matchMedia("(prefers-color-scheme: dark)").matches,
  };
  document.body.replaceChildren(JSON.stringify(found));
  document.body.dataset.done = "yes";
}, 500));
"""


@pytest.fixture(scope="module")
def browser() -> str:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine; `apt-get install chromium` brings it")
    return BROWSER


@pytest.fixture
def page(inputs_of, tmp_path) -> Path:
    """The invented report with two balls in its viewer."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    layers = [
        MeshLayer(name, np.asarray(ball.vertices) * size) for name, size in (("network", 1.0), ("truth", 0.7))
    ]
    people = (
        ViewerPerson("one", "a ball", tuple(layers)),
        ViewerPerson("two", "a smaller ball", tuple(layers[1:])),
    )
    path = tmp_path / "index.html"
    viewer = Viewer("Balls", "Drag to rotate.", np.asarray(ball.faces), people)
    path.write_text(html_page(build_report(inputs_of(viewer))), encoding="utf-8")
    return path


def inspect(browser: str, page: Path, width: int, *flags: str) -> tuple[dict[str, Any], list[str]]:
    """What the checks find in the page at a width, and the browser's error messages."""
    outer = page.with_name(f"outer_{width}.html")
    style = f"width:{width}px;height:900px;border:0"
    outer.write_text(
        f'<!doctype html><body><iframe src="{page.name}" style="{style}"></iframe><script>{CHECKS}</script>'
    )
    command = [browser, *FLAGS, *flags, "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    text = re.search(r"<body[^>]*>(\{.*\})</body>", done.stdout, re.S)
    assert text, done.stdout[-500:] + done.stderr[-2000:]
    found = json.loads(text[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    return found, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def decoded(address: str, path: Path) -> np.ndarray:
    """The pixels of a canvas, RGBA."""
    path.write_bytes(base64.b64decode(address.split(",", 1)[1]))
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


@pytest.mark.parametrize(("width", "scheme"), [(1100, 1), (400, 0)])
def test_the_page_works_in_a_browser(browser, page, tmp_path, width, scheme):
    found, errors = inspect(browser, page, width, f"--blink-settings=preferredColorScheme={scheme}")
    assert errors == []
    assert found["width"] == width
    assert found["content"] <= width, "the page is wider than the screen"
    assert found["tables"] >= 11
    assert found["charts"] >= 4
    assert found["images"] == 15
    assert found["broken"] == 0
    assert found["viewer"] == "rendered"
    assert found["person"] == "two"
    assert found["changes"]
    assert found["button"] >= 36
    assert found["text"] >= 12
    assert found["dark"] == (scheme == 0)
    pixels = decoded(found["canvas"], tmp_path / "canvas.png")
    covered = pixels[..., 3] > 0
    assert 0.05 < covered.mean() < 0.9
    assert len(np.unique(pixels[covered][:, :3], axis=0)) > 50, "the ball is shaded, not flat"


def test_without_webgl_the_page_says_so(browser, page):
    found, errors = inspect(browser, page.with_name(no_webgl(page)), 400)
    assert errors == []
    assert found["viewer"] == "unsupported"


def no_webgl(page: Path) -> str:
    """A copy of the page in a browser that offers no WebGL."""
    off = "<script>HTMLCanvasElement.prototype.getContext = () => null</script>"
    other = page.with_name("no_webgl.html")
    other.write_text(page.read_text(encoding="utf-8").replace("<body>", f"<body>{off}"), encoding="utf-8")
    return other.name
