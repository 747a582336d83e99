"""Invented results of two trainings."""

import numpy as np
import pandas as pd
import pytest

from spinloop.reporting.people import Person, Sheet, Tile
from spinloop.reporting.published import Published, load_published
from spinloop.reporting.results import Setting


def _interval(name: str, mean: float, half: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}


def _setting(name: str, color: int, pa: float, final: float) -> Setting:
    metrics = {"setting": name, "protocol": "pw3d@1", "n": 480, "n_groups": 12, "confidence": 0.95}
    for key, value in (("pa_mpjpe_mm", pa), ("mpjpe_mm", 1.5 * pa), ("pve_mm", 1.75 * pa)):
        metrics |= _interval(key, value, 2.5)
    fits = {"setting": name, "confidence": 0.95, "steps": 2000, "n": 1600, "n_compared": 1500, "new_n": 0}
    fits |= {"initial_pa_mpjpe_median_mm": 62.75, "improved_percent": 0.0}
    fits |= {"final_pa_mpjpe_median_mm": final - 12.25, "worsened_percent": 0.0}
    for when, value in (("initial", 75.0), ("final", final), ("change", final - 75.0)):
        fits |= _interval(f"{when}_pa_mpjpe_mm", value, 1.0 if value else 0.0)
        fits |= _interval(f"{when}_mpjpe_mm", 2 * value, 2.0 if value else 0.0)
    if name == "loop":
        fits |= {"new_n": 40, "new_pa_mpjpe_mm": 81.5, "improved_percent": 70.5, "worsened_percent": 20.25}
    steps = [0, 1000, 2000]
    history = {"step": steps[1:], "total": [2.0, 1.0], "pose": [0.3, 0.2], "mesh": [0.0, 0.0]}
    dictionary = {"step": steps, "pa_mpjpe_mm": np.linspace(75.0, final, 3)}
    dictionary["pa_mpjpe_median_mm"] = dictionary["pa_mpjpe_mm"] - 12.25
    joints = {"right_ankle": pa + 20.0, "neck": pa - 20.0}
    return Setting(name, color, metrics, fits, pd.DataFrame(history), pd.DataFrame(dictionary), joints)


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
