"""What the user has to bring is listed before a run, by the key that names it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from spinloop.params.loader import load_yaml
from spinloop.pipeline.dag import StageRule
from spinloop.pipeline.user_files import leading_to, list_missing, missing_files, read_by


def stage(name: str, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> StageRule:
    files = tuple(path for path in outputs if Path(path).suffix)
    folders = tuple(path for path in outputs if not Path(path).suffix)
    return StageRule(name, name.replace("@", "_"), name, inputs, files, folders, 1, {}, 0)


@pytest.fixture
def values(repository) -> dict[str, Any]:
    values = load_yaml(repository / "params.yaml")
    mine = {"reader": "photos", "raw": "mine/photos", "box_factor": 1.2, "min_limb_joints": 1}
    values["sources"] = {"coco_train": values["sources"]["coco_train"], "mine": mine}
    values["raw"] = {"coco": "data/raw/mirror/coco"}
    return values


@pytest.fixture
def stages() -> list[StageRule]:
    raw, mirror = "data/raw/mirror/openpose/coco", "data/raw/mirror/coco"
    return [
        stage("mirror_coco", outputs=(mirror, raw)),
        stage("preprocess@coco_train", (mirror,), ("coco.parquet",)),
        stage("preprocess@mine", ("mine/photos",), ("mine.parquet",)),
        stage("train@loop", ("mine.parquet",), ("loop.pt",)),
    ]


@pytest.fixture
def missing(tmp_path, values, stages):
    """Keys of what is missing, after the values are written."""

    def find() -> list[str]:
        YAML().dump(values, tmp_path / "params.yaml")
        return [file.key for file in missing_files(tmp_path, stages)]

    return find


def test_what_a_stage_makes_is_not_missed(missing):
    assert missing() == ["sources.mine.raw"]


def test_what_is_there_is_not_missed(missing, tmp_path):
    (tmp_path / "mine/photos").mkdir(parents=True)
    assert missing() == []


def test_body_motion_and_initial_weights_are_missed_only_where_they_are_read(missing, values):
    values["body"] |= {"source": "smpl", "smpl_folder": "smpl"}
    values["prior"]["motion"] = ["cmu", "amass"]
    values["train"]["initial"] |= {"backbone": "resnet.pth", "mean": "mean.npz"}
    found = ["body.smpl_folder", "prior.motion", "prior.motion", "sources.mine.raw"]
    assert missing() == [*found, "train.initial.backbone", "train.initial.mean"]
    values["train"]["initial"]["network"] = "whole.pt"
    assert missing() == [*found, "train.initial.network"]
    values["body"]["source"] = "free"
    assert "body.smpl_folder" not in missing()


def test_raw_data_that_are_to_be_listed_are_missed(missing, values):
    values["raw"] |= {"mine": "mine/photos", "amass": "elsewhere/amass"}
    assert missing() == ["sources.mine.raw", "raw.amass"], "mine is told once"


def test_what_lies_in_a_folder_is_missed_once_the_folder_is_there(missing, values, tmp_path, repository):
    own = load_yaml(repository / "params.yaml")["sources"]["lsp_test"]
    values["sources"]["lsp_test"] = {**own, "raw": "lsp"}
    assert "sources.lsp_test.masks" not in missing()
    (tmp_path / "lsp").mkdir()
    assert missing() == ["sources.mine.raw", "sources.lsp_test.masks"]


def test_only_what_some_stages_read_is_asked_for(missing, values, stages, tmp_path):
    values["train"]["initial"]["mean"] = "mean.npz"
    missing()
    files = missing_files(tmp_path, stages)
    asked = {each.name: [file.key for file in read_by(files, [each])] for each in stages}
    assert {name: keys for name, keys in asked.items() if keys} == {
        "preprocess@mine": ["sources.mine.raw"],
        "train@loop": ["train.initial.mean"],
    }


def test_what_leads_to_a_stage_is_found_back_to_the_data(stages):
    assert {each.name for each in leading_to({"train_loop"}, stages)} == {"train@loop", "preprocess@mine"}
    found = leading_to({"preprocess_coco_train", "preprocess_mine"}, stages)
    assert {each.name for each in found} == {"mirror_coco", "preprocess@coco_train", "preprocess@mine"}
    assert leading_to(set(), stages) == []


def test_one_message_has_key_path_and_guide_of_each(missing, values, stages, tmp_path):
    values["train"]["initial"]["mean"] = "mean.npz"
    missing()
    head, *lines = list_missing(missing_files(tmp_path, stages)).splitlines()
    assert head.startswith("params.yaml: 2 of the files and folders that it names are missing; provide them")
    assert "(docs/datasets.md, docs/training.md)" in head
    assert lines == ["  sources.mine.raw: mine/photos", "  train.initial.mean: mean.npz"]


def test_another_projects_files_are_its_own_affair(small_project):
    assert missing_files(small_project, []) == []
    (small_project / "params.yaml").unlink()
    assert missing_files(small_project, []) == []
