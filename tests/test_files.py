"""Files appear whole or not at all."""

import json

import pytest

from spinloop.errors import UserError
from spinloop.files import atomic, read_json, require_file, write_json


def _write_half(path):
    with atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(path)
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["table.csv"]


def test_nothing_stands_at_the_path_before_the_end(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with atomic(path) as temporary:
        temporary.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"


def test_a_folder_replaces_a_folder_whole(tmp_path):
    path = tmp_path / "raw"
    path.mkdir()
    (path / "stale.txt").write_text("stale")
    with atomic(path) as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "fresh.txt").write_text("fresh")
    assert [child.name for child in path.rglob("*.txt")] == ["fresh.txt"]


def test_a_leftover_of_a_killed_run_is_not_mixed_in(tmp_path):
    path = tmp_path / "raw"
    with atomic(path) as leftover:
        leftover.mkdir()
    leftover.mkdir()
    (leftover / "of_killed_run.txt").write_text("")
    with atomic(path) as temporary:
        temporary.mkdir()
    assert list(path.iterdir()) == []


def test_json_is_the_same_bytes_whatever_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    write_json(tmp_path / "b.json", {"a": 2, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": 2, "b": 1}


def test_json_with_a_nan_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"mpjpe_mm": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_broken_json_names_the_file_and_the_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"people": []})[:-1])
    with pytest.raises(UserError, match=r"a\.json: not valid JSON .*line 1 column 14"):
        read_json(path)


def test_a_missing_file_names_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"body\.npz: no such file; run prepare_body"):
        require_file(tmp_path / "body.npz", "run prepare_body")
