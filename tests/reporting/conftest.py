"""Invented results of some trainings."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spinloop.body.files import PART_NAMES
from spinloop.reporting.benchmarks import Published, load_published
from spinloop.reporting.breakdowns import OcclusionErrors
from spinloop.reporting.differences import Comparison, PairedDifference, comparable_pairs
from spinloop.reporting.figures import FigureSheets, Sheet, Tile, TileRow
from spinloop.reporting.fits import FitCounts
from spinloop.reporting.inputs import ReportInputs, describe_recipe, lineage_table
from spinloop.reporting.page import MeshLayer, Report, Viewer, ViewerPerson
from spinloop.reporting.results import SplitInfo, TrainingResults
from spinloop.reporting.sections import build_report


def _interval(name: str, mean: float, half: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}


TRUTH = {"truth": "cccc000000000003"}
LINEAGE = {"weights": "aaaa000000000001", "annotations": "bbbb000000000002"}
METRICS = {"pa_mpjpe_mm": 1.0, "mpjpe_mm": 1.5, "pve_mm": 1.75}


def _training(name: str, color: int, choices: tuple[bool, bool], pa: float, final: float) -> TrainingResults:
    named = {"setting": name, "split": "pw3d_test", "protocol": "pw3d@1", "lineage": LINEAGE}
    metrics = {**named, "n": 480, "n_groups": 12, "confidence": 0.95}
    for key, value in METRICS.items():
        metrics |= _interval(key, value * pa, 2.5)
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
    return TrainingResults(
        name=name,
        loop=choices[0],
        use_3d=choices[1],
        color=color,
        history=pd.DataFrame(history),
        results={"pw3d_test": metrics},
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
    if name != "static":
        fits |= {"new_n": 40, "new_pa_mpjpe_mm": 81.5, "improved_percent": 70.5, "worsened_percent": 20.25}
    return fits


def _refits(networks: Mapping[str, float]) -> dict[str, Any]:
    """What `fit_predictions` wrote: fits from two starts and from networks of which the error is given."""

    def numbers(pa: float, pixels: float) -> dict[str, float]:
        return _all(pa) | {"reprojection_px2": pixels}

    def _all(pa: float) -> dict[str, float]:
        return {k: v for key, value in METRICS.items() for k, v in _interval(key, value * pa, 1.5).items()}

    return {
        "split": "pw3d_test",
        "protocol": "pw3d@1",
        "lineage": {"prior": "dddd000000000004"},
        "n": 470,
        "n_without_keypoints": 10,
        "confidence": 0.95,
        "starts": {"mean": numbers(77.0, 2.25), "lifted": numbers(65.0, 1.75)},
        "networks": {
            name: {"network": numbers(pa, 21.5), "fit": numbers(pa - 6.0, 4.25), "change": _all(-6.0)}
            for name, pa in networks.items()
        },
    }


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
    """What a training measured on a split with masks."""
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
        ViewerPerson(
            name,
            f"{name} shown",
            tuple(MeshLayer(layer, rng.normal(size=(4, 3))) for layer in ("network", "truth")),
        )
        for name in ("<a>", "b")
    )
    return Viewer("In three dimensions", "Drag to rotate.", faces, people)


TRAININGS = {
    "static": ((False, False), 100.0, 75.0),
    "loop": ((True, False), 90.0, 64.0),
    "paired": ((True, True), 86.0, 63.0),
    "static_3d": ((False, True), 95.0, 75.0),
}


@pytest.fixture
def trainings_named() -> Callable[[Sequence[str]], list[TrainingResults]]:
    """Makes trainings by their names."""
    return lambda names: [_training(name, color, *TRAININGS[name]) for color, name in enumerate(names)]


@pytest.fixture
def trainings(trainings_named) -> list[TrainingResults]:
    return trainings_named(["static", "loop", "paired"])


@pytest.fixture
def compared() -> Callable[[Sequence[TrainingResults]], dict[str, Any]]:
    """Makes what depends on the trainings of a report."""

    def make(trainings: Sequence[TrainingResults]) -> dict[str, Any]:
        errors = {each.name: each.results["pw3d_test"]["pa_mpjpe_mm"] for each in trainings}
        differences = [
            (one, other, errors[other.name] - errors[one.name]) for one, other in comparable_pairs(trainings)
        ]
        return {
            "trainings": trainings,
            "refits": {"pw3d_test": _refits(errors)},
            "comparisons": [
                Comparison(one, other, {"pw3d_test": PairedDifference(mean, mean - 2.5, mean + 2.5, 480)})
                for one, other, mean in differences
            ],
        }

    return make


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
        TileRow(f"toy/{name}.jpg#0", rule, (tile("image"), tile("before", "80 mm"), tile("after", "60 mm")))
        for name, rule in (("<a>", "most improved"), ("b", "median"))
    )
    return Sheet("figure4", "Before & after", "Chosen by rank.", people)


TEST, TRAIN = SplitInfo("pw3d_test", "pw3d", True, "pw3d@1"), SplitInfo("coco_train", "coco", True)


@pytest.fixture
def inputs_of(trainings, compared, published, sheet, starts) -> Callable[[Viewer], ReportInputs]:
    """Makes the inputs of a report with a given viewer."""
    lineage = lineage_table([], ["pw3d@1"], {"train": {"n_steps": 2000}}, {})
    step, predictions, worst = (
        dataclasses.replace(sheet, key=key, title=title, people=sheet.people[:1])
        for key, title in (("figure2", "A step"), ("figure5", "Predictions"), ("figure6", "Worst"))
    )
    statistics = {
        "coco train preprocess": {
            "read": 1700,
            "kept": 1650,
            "left_out": {"no_visible_joint": 50},
            "noted": {},
        },
        "coco train merge": {"read": 1650, "kept": 1650, "left_out": {}, "noted": {"matched": 1600}},
    }
    network = {"backbone": "resnet18", "width": 24, "image_px": 64}
    hidden = OcclusionErrors(
        "paired loop",
        {"right_ankle": (90.0, 120.0), "neck": (70.0, None)},
        {"none": (400, 85.0), "1 or 2": (80, 99.0)},
    )
    statuses = {"converged": 1500, "rejected_reprojection": 90, "too_few_joints": 10}
    inputs = ReportInputs(
        **compared(trainings),
        confidence=0.95,
        trains=[TRAIN],
        tests=[TEST],
        starts={"coco_train": starts},
        occlusion={"pw3d_test": hidden},
        recipe=describe_recipe(network, {"n_steps": 2000, "batch_size": 64}),
        published=published,
        statistics=statistics,
        statistics_lineage="statistics eeee000000000005",
        statuses={"coco_train": FitCounts(statuses, "fits before training ffff000000000006")},
        origins={
            "coco_train": FitCounts({"initial": 700, "loop": 800}, "fits after training ffff000000000007")
        },
        figures=FigureSheets((step,), (sheet,), (predictions,), (worst,)),
        viewer=None,
        lineage=lineage,
        is_free_body=True,
    )

    def make(viewer: Viewer) -> ReportInputs:
        return dataclasses.replace(inputs, viewer=viewer)

    return make


@pytest.fixture
def inputs(inputs_of, viewer) -> ReportInputs:
    return inputs_of(viewer)


@pytest.fixture
def report(inputs) -> Report:
    return build_report(inputs)
