"""Meshes as text for the page."""

import base64
import json

import numpy as np
import pytest

from spinloop.reporting.page import MeshLayer, Viewer, ViewerPerson, viewer_json, viewer_script


def _decoded(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<u2")


def test_a_persons_mesh_comes_back_to_a_thirtieth_of_a_millimetre():
    rng = np.random.default_rng(0)
    vertices = rng.uniform([-0.9, -0.9, -0.3], [0.9, 0.9, 0.3], (6890, 3))
    faces = rng.integers(0, 6890, (13776, 3)).astype(np.int32)
    viewer = Viewer("t", "c", faces, (ViewerPerson("a", "b", (MeshLayer("network", vertices),)),))
    data = json.loads(viewer_json(viewer))
    np.testing.assert_array_equal(_decoded(data["faces"]).reshape(-1, 3), faces)
    layer = data["people"][0]["layers"][0]
    numbers = _decoded(layer["vertices"]).reshape(-1, 3)
    again = np.array(layer["low"]) + numbers / 65535 * np.array(layer["extent"])
    assert np.abs(again - vertices).max() < 3e-5
    assert len(layer["vertices"]) < 56_000


def test_names_cannot_end_the_script_that_holds_them(viewer):
    text = viewer_json(viewer)
    assert "<" not in text
    assert json.loads(text)["people"][0]["id"] == "<a>"


def test_more_vertices_than_16_bits_can_name_are_refused():
    with pytest.raises(ValueError, match="65,536"):
        viewer_json(Viewer("t", "c", np.array([[0, 1, 65536]]), ()))


def test_the_program_sends_no_request():
    script = viewer_script()
    for word in ("fetch", "XMLHttpRequest", "import", "http:", "https:", "WebSocket"):
        assert word not in script
