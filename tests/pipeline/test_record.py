"""dvc.lock written stage by stage: the bytes that DVC would write, in one piece."""

import shutil

import pytest
from dvc.utils.serialize import dumps_yaml, load_yaml, modify_yaml, parse_yaml

from spinloop.pipeline.record import lines_of, splice

STAGE = {
    "cmd": "echo  'two  words' # no comment",
    "params": {"params.yaml": {"a.b": 1e-3, "c": None, "d": [1, "x"]}},
}


@pytest.fixture
def lock(repository, tmp_path):
    return shutil.copy(repository / "dvc.lock", tmp_path / "dvc.lock")


def entry_of(name: str, stage: dict) -> str:
    return dumps_yaml({name: stage}).replace("\n", "\n  ").removesuffix("  ").join(["  ", ""])


@pytest.mark.parametrize("name", ["train@loop", "new@one", "a stage: of trouble"])
def test_a_spliced_record_equals_that_of_dvc(lock, name):
    ours = splice(lock.read_text(), [entry_of(name, STAGE)])
    with modify_yaml(str(lock)) as data:
        data["stages"][name] = STAGE
    assert ours == lock.read_text()


def test_the_first_record_makes_the_file(tmp_path):
    text = splice("", [entry_of("first", STAGE)])
    (tmp_path / "dvc.lock").write_text(text)
    assert load_yaml(str(tmp_path / "dvc.lock")) == {"schema": "2.0", "stages": {"first": STAGE}}


def test_what_follows_the_stages_is_kept(tmp_path):
    text = "schema: '2.0'\nstages:\n  a:\n    cmd: x\ndatasets:\n- name: d\n"
    assert splice(text, ["  b:\n    cmd: y\n"]) == text.replace("datasets:", "  b:\n    cmd: y\ndatasets:")


def test_a_name_that_begins_another_is_not_taken_for_it():
    text = "schema: '2.0'\nstages:\n  fit@ab:\n    cmd: x\n"
    assert splice(text, ["  fit@a:\n    cmd: y\n"]) == text + "  fit@a:\n    cmd: y\n"


def test_the_lines_of_a_stage_hold_what_dvc_reads_of_it(lock):
    with modify_yaml(str(lock)) as data:
        data["stages"]["a stage: of trouble"] = STAGE
    text, read = lock.read_text(), load_yaml(str(lock))["stages"]
    for name in ("train@loop", "report", "a stage: of trouble"):
        assert parse_yaml(lines_of(text, name), "")[name] == read[name]
    assert lines_of(text, "train") == ""
