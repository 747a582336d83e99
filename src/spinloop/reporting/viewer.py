"""Meshes for the page's 3D viewer: quantized, as text that the page decodes.

Vertices are 16-bit numbers within each mesh's box (a person's mesh is then right to 0.03 mm and takes 55 kB);
all meshes share their faces.
"""

import base64
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_STEPS = 65535


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
