"""Invented results of two trainings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spinloop.body.files import PART_NAMES
from spinloop.reporting.contents import Material, Pictures, lineage_table, recipe
from spinloop.reporting.occlusion import Occlusion
from spinloop.reporting.people import Person, Sheet, Tile
from spinloop.reporting.published import Published, load_published
from spinloop.reporting.results import Setting, Split
from spinloop.reporting.verdict import Change
from spinloop.reporting.viewer import Layer, Model, Viewer


def _interval(name: str, mean: float, half: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}


TRUTH = {"truth": "cccc000000000003"}
LINEAGE = {"weights": "aaaa000000000001", "annotations": "bbbb000000000002"}


def _setting(name: str, color: int, pa: float, final: float) -> Setting:
    named = {"setting": name, "split": "pw3d_test", "protocol": "pw3d@1", "lineage": LINEAGE}
    metrics = {**named, "n": 480, "n_groups": 12, "confidence": 0.95}
    refits = {**named, "n": 470, "n_without_keypoints": 10, "network_reprojection_px2": 21.5}
    refits["from_network_reprojection_px2"] = 4.25
    for key, value in (("pa_mpjpe_mm", pa), ("mpjpe_mm", 1.5 * pa), ("pve_mm", 1.75 * pa)):
        metrics |= _interval(key, value, 2.5)
        for way, gain in (
            ("network", 0.0),
            ("from_network", 6.0),
            ("from_mean", -8.0),
            ("change", value + 6.0),
        ):
            refits |= _interval(f"{way}_{key}", value - gain, 1.5)
    metrics["parts"] = {
        "right_ankle": {"mpjpe_mm": pa + 40.0, "pa_mpjpe_mm": pa + 20.0},
        "neck": {"mpjpe_mm": pa - 10.0, "pa_mpjpe_mm": pa - 20.0},
    }
    groups = {"crossing": {"n": 200, "pa_mpjpe_mm": pa - 5.0}, "meeting": {"n": 280, "pa_mpjpe_mm": pa + 5.0}}
    metrics["by"] = {"sequence": groups}
    steps = [0, 1000, 2000]
    history = {"step": steps[1:], "total": [2.0, 1.0], "pose": [0.3, 0.2], "mesh": [0.0, 0.0]}
    dictionary = {"step": steps, "pa_mpjpe_mm": np.linspace(75.0, final, 3)}
    dictionary["pa_mpjpe_median_mm"] = dictionary["pa_mpjpe_mm"] - 12.25
    return Setting(
        name=name,
        color=color,
        history=pd.DataFrame(history),
        results={"pw3d_test": metrics},
        refits={"pw3d_test": refits},
        fits={"coco_train": _dictionary(name, final)},
        dictionary={"coco_train": pd.DataFrame(dictionary)},
    )


def _dictionary(name: str, final: float) -> dict[str, Any]:
    fits = {
        "setting": name,
        "split": "coco_train",
        "protocol": "pw3d@1",
        "lineage": {"truth": "cccc000000000003"},
    }
    fits |= {"confidence": 0.95, "steps": 2000, "n": 1600, "n_compared": 1500, "new_n": 0}
    fits |= {"initial_pa_mpjpe_median_mm": 62.75, "improved_percent": 0.0}
    fits |= {"final_pa_mpjpe_median_mm": final - 12.25, "worsened_percent": 0.0}
    for when, value in (("initial", 75.0), ("final", final), ("change", final - 75.0)):
        fits |= _interval(f"{when}_pa_mpjpe_mm", value, 1.0 if value else 0.0)
        fits |= _interval(f"{when}_mpjpe_mm", 2 * value, 2.0 if value else 0.0)
    if name == "loop":
        fits |= {"new_n": 40, "new_pa_mpjpe_mm": 81.5, "improved_percent": 70.5, "worsened_percent": 20.25}
    return fits


@pytest.fixture
def starts() -> dict[str, Any]:
    """Offline fits from two starts."""

    def numbers(pa: float) -> dict[str, Any]:
        after = {"mean": pa, "low": pa - 1, "high": pa + 1, "median": pa - 12.25, "p95": 2 * pa}
        before = {"mean": 2 * pa, "median": 1.5 * pa, "p95": 3 * pa}
        pixels = {"mean": pa / 10, "median": pa / 12, "p95": pa / 5}
        return {
            "failed_percent": pa / 25,
            "initial_reprojection_px2": {key: 100 * value for key, value in pixels.items()},
            "final_reprojection_px2": pixels,
            "initial_pa_mpjpe_mm": before,
            "final_pa_mpjpe_mm": after,
            "initial_mpjpe_mm": {key: 2 * value for key, value in before.items()},
            "final_mpjpe_mm": after | {"mean": 2 * pa, "low": 2 * pa - 1, "high": 2 * pa + 1},
        }

    named = {"split": "coco_train", "protocol": "pw3d@1", "lineage": {"truth": "cccc000000000003"}}
    return {
        **named,
        "confidence": 0.95,
        "n": 1520,
        "n_compared": 1500,
        "first": "mean",
        "starts": {
            "lifted": numbers(66.0) | {"change_pa_mpjpe_mm": {"mean": -9.0, "low": -10.0, "high": -8.0}},
            "mean": numbers(75.0),
        },
    }


@pytest.fixture
def masks() -> dict[str, Any]:
    """What a setting measured on a split with masks."""
    parts = {name: {"f1": 0.5 + 0.05 * row} for row, name in enumerate(("background", *PART_NAMES))}
    found = {"setting": "loop", "split": "lsp_test", "protocol": "lsp@1", "lineage": LINEAGE, "parts": parts}
    found |= {"n": 100, "n_groups": 100, "confidence": 0.95, "by": {}}
    for key, value in (("mask_accuracy_percent", 90.0), ("mask_f1", 0.85)):
        found |= _interval(key, value, 0.01)
    for key, value in (("parts_accuracy_percent", 87.0), ("parts_f1", 0.61)):
        found |= _interval(key, value, 0.01)
    return found


@pytest.fixture
def viewer() -> Viewer:
    """Two people of a few triangles."""
    rng = np.random.default_rng(3)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.int32)
    people = tuple(
        Model(
            name,
            f"{name} shown",
            tuple(Layer(layer, rng.normal(size=(4, 3))) for layer in ("network", "truth")),
        )
        for name in ("<a>", "b")
    )
    return Viewer("In three dimensions", "Drag to turn.", faces, people)


@pytest.fixture
def settings() -> list[Setting]:
    return [_setting("static", 0, 100.0, 75.0), _setting("loop", 1, 90.0, 64.0)]


@pytest.fixture(scope="session")
def published(repository) -> Published:
    return load_published(repository / "reports" / "published.yaml")


@pytest.fixture
def sheet() -> Sheet:
    """Two people with three tiles each."""
    rng = np.random.default_rng(1)

    def tile(title: str, caption: str = "") -> Tile:
        return Tile(title, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), caption)

    people = tuple(
        Person(f"toy/{name}.jpg#0", rule, (tile("image"), tile("before", "80 mm"), tile("after", "60 mm")))
        for name, rule in (("<a>", "most improved"), ("b", "median"))
    )
    return Sheet("figure4", "Before & after", "Chosen by rank.", people)


TEST, TRAIN = Split("pw3d_test", "pw3d", True, "pw3d@1"), Split("coco_train", "coco", True)


@pytest.fixture
def material_of(settings, published, sheet, starts) -> Callable[[Viewer], Material]:
    """Makes the material of a report with a given viewer."""
    lineage = lineage_table([], ["pw3d@1"], {"train": {"n_steps": 2000}})
    step, predictions, worst = (
        dataclasses.replace(sheet, key=key, title=title, people=sheet.people[:1])
        for key, title in (("figure2", "A step"), ("figure5", "Predictions"), ("figure6", "Worst"))
    )
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
    hidden = Occlusion(
        "fits in the loop",
        {"right_ankle": (90.0, 120.0), "neck": (70.0, None)},
        {"none": (400, 85.0), "1 or 2": (80, 99.0)},
    )
    material = Material(
        settings=settings,
        trains=[TRAIN],
        tests=[TEST],
        starts={"coco_train": starts},
        changes={"pw3d_test": Change(-10.0, -12.5, -7.5, 480)},
        occlusion={"pw3d_test": hidden},
        recipe=recipe(network, {"n_steps": 2000, "batch_size": 64}),
        published=published,
        stats=stats,
        statuses={"converged": 1500, "rejected_reprojection": 90, "too_few_joints": 10},
        origins={"initial": 700, "loop": 800},
        pictures=Pictures((step,), (sheet,), (predictions,), (worst,), None),
        lineage=lineage,
        is_free_body=True,
    )

    def make(viewer: Viewer) -> Material:
        return dataclasses.replace(material, pictures=dataclasses.replace(material.pictures, viewer=viewer))

    return make
