"""An experiment trains each variant with each seed once, and resumes after a stop."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.params.evaluation import Experiment
from spinloop.pipeline import experiments
from spinloop.stages import experiment

REPOSITORY = Path(__file__).parents[2]
PLAN = {
    "description": "Does the loop improve the fits?",
    "base": {"train": {"n_steps": 5}},
    "variants": {
        "static": {"settings": {"experiment": {"loop": False, "use_3d": False}}},
        "adaptive": {
            "settings": {"experiment": {"loop": True, "use_3d": False}},
            "fitting": {"anchor": "adaptive"},
        },
    },
    "baseline": "static",
    "seeds": [0, 3],
    "train_splits": ["coco_train"],
    "test_splits": ["pw3d_test"],
}


@pytest.fixture
def world(tmp_path) -> dict[str, Path]:
    (tmp_path / "data/crops").mkdir(parents=True)
    for split in ("coco_train", "pw3d_test"):
        (tmp_path / f"data/crops/{split}.h5").write_bytes(split.encode())
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    _write(tmp_path / "plan.yaml", PLAN)
    names = {"out": "out", "data": "data", "params": "params.yaml"}
    return {option: tmp_path / name for option, name in names.items()}


def _write(path: Path, plan: dict[str, Any]) -> None:
    YAML(typ="safe").dump(plan, path)


@pytest.fixture
def trained(monkeypatch) -> list[dict[str, Any]]:
    """The parameters of every trial; nothing is trained here."""
    seen: list[dict[str, Any]] = []

    def run_trial(values: dict[str, Any], plan: Experiment, *_: object) -> dict[str, float]:
        seen.append(values)
        error = 60.0 + values["train"]["seed"] + 5 * (not values["settings"]["experiment"]["loop"])
        return dict.fromkeys(experiments.metric_names(plan), error)

    monkeypatch.setattr(experiments, "run_trial", run_trial)
    return seen


def test_every_variant_is_trained_with_every_seed(world, trained, tmp_path):
    experiment.run(tmp_path / "plan.yaml", **world)
    what = [
        (values["fitting"]["anchor"], values["train"]["seed"], values["train"]["n_steps"])
        for values in trained
    ]
    assert sorted(what) == [("adaptive", 0, 5), ("adaptive", 3, 5), ("none", 0, 5), ("none", 3, 5)]
    results = read_json(tmp_path / "out/results.json")
    names = ["initial fits of coco_train", "final fits of coco_train", "network on pw3d_test"]
    assert results["adaptive/3"]["metrics"] == dict.fromkeys(names, 63.0)
    table = " ".join((tmp_path / "out/table.md").read_text().split())
    assert "| adaptive | 2 |" in table
    assert "-5.0 [-5.0, -5.0]" in table
    assert "* plan: `" in table


def test_finished_trainings_are_not_repeated_and_changed_ones_are(world, trained, tmp_path):
    experiment.run(tmp_path / "plan.yaml", **world)
    table = (tmp_path / "out/table.md").read_text()
    experiment.run(tmp_path / "plan.yaml", **world)
    assert len(trained) == 4
    assert (tmp_path / "out/table.md").read_text() == table
    changed = {
        **PLAN["variants"],
        "adaptive": {**PLAN["variants"]["adaptive"], "fitting": {"anchor": "fixed"}},
    }
    _write(tmp_path / "plan.yaml", {**PLAN, "variants": changed})
    experiment.run(tmp_path / "plan.yaml", **world)
    assert [values["fitting"]["anchor"] for values in trained[4:]] == ["fixed", "fixed"]


def test_a_further_test_split_is_measured_for_all(world, trained, tmp_path):
    experiment.run(tmp_path / "plan.yaml", **world)
    (tmp_path / "data/crops/h36m_p1.h5").write_bytes(b"h36m_p1")
    _write(tmp_path / "plan.yaml", {**PLAN, "test_splits": ["pw3d_test", "h36m_p1"]})
    experiment.run(tmp_path / "plan.yaml", **world)
    assert len(trained) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "other"}, "baseline: other is no variant"),
        ({"seeds": []}, "seeds: .*at least 1"),
        ({"base": {"train": {"n_step": 5}}}, r"train\.n_step: params\.yaml has no such key"),
    ],
)
def test_a_bad_plan_is_refused_before_anything_is_trained(world, trained, tmp_path, change, message):
    _write(tmp_path / "plan.yaml", {**PLAN, **change})
    with pytest.raises(UserError, match=message):
        experiment.run(tmp_path / "plan.yaml", **world)
    assert trained == []


def test_files_are_those_of_the_stages():
    """`dvc.yaml` names every input; only the folder of the data may be another one."""
    files = experiments.StageFiles(REPOSITORY / "dvc.yaml", Path("elsewhere"))
    values = {"fit_initial": {"start": "lifted"}}
    parts = files.of("collect_fits", values, item="coco_train")
    assert parts["part"] == Path("elsewhere/fits/parts/coco_train/lifted")
    given = files.of("train", values, key="experiment")
    assert given["crops"] == Path("elsewhere/crops")
    assert given["out"] == Path("elsewhere/experiment.pt")
    given = files.of("evaluate", values, setting="experiment", split="pw3d_test")
    assert given["annotations"] == Path("elsewhere/annotations/pw3d_test.parquet")
    assert given["body_female"] == Path("elsewhere/body/female.npz")
    with pytest.raises(UserError, match=r"\$\{fit_initial\.start\}: no such parameter"):
        files.of("collect_fits", {}, item="coco_train")
    with pytest.raises(UserError, match=r"dvc\.yaml: stages\.fit_all: missing"):
        files.of("fit_all", values)
