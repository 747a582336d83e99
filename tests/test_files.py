"""Files appear whole or not at all."""

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from spinloop.errors import UserError, reason_of
from spinloop.files import (
    atomic,
    read_json,
    read_npy,
    read_npz,
    read_weights,
    require_file,
    write_json,
)


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


# Writes half a folder and is killed.
KILLED = """
import os, sys
from pathlib import Path
from spinloop.files import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.mkdir()
    (temporary / "stale.txt").write_text("stale")
    os._exit(9)
"""


def test_a_leftover_of_a_killed_run_is_removed_and_not_mixed_in(tmp_path):
    path = tmp_path / "folder.d"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / "new.txt").write_text("new")
    assert [child.name for child in tmp_path.rglob("*")] == ["folder.d", "new.txt"]


def test_two_who_write_the_same_file_at_once_do_not_touch_each_other(tmp_path):
    path = tmp_path / "table.csv"
    with atomic(path) as first:
        first.write_text("first")
        with atomic(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert [(child.name, child.read_text()) for child in tmp_path.iterdir()] == [("table.csv", "first")]


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


def test_an_error_without_words_is_told_by_its_kind():
    assert reason_of(EOFError()) == "EOFError"
    assert reason_of(ValueError("\n first\nsecond")) == "first"


def _save_weights(path, arrays):
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)


READERS = {
    read_npz: lambda path, arrays: np.savez_compressed(path, **arrays),
    read_npy: lambda path, arrays: np.save(path, arrays["a"]),
    read_weights: _save_weights,
}


@pytest.mark.parametrize("read", READERS)
def test_files_cut_short_or_with_wrong_bytes_are_one_line_with_the_cure(read, tmp_path):
    """Whatever the library raises: its list of errors is open."""
    rng = np.random.default_rng(0)
    path = tmp_path / f"whole.{read.__name__[5:]}"
    READERS[read](path, {"a": rng.random((3, 4)), "b": rng.integers(0, 9, 5)})
    whole = path.read_bytes()
    contents = [whole[: int(share * len(whole))] for share in np.linspace(0, 0.99, 25)]
    for _ in range(150):
        wrong = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 20)):
            wrong[place] = rng.integers(256)
        contents.append(bytes(wrong))
    said = []
    for content in [*contents, b"text", bytes(1000)]:
        path.write_bytes(content)
        try:
            read(path, "make it again")
        except UserError as error:
            said.append(str(error))
    assert len(said) > 25
    for message in said:
        assert message.startswith(f"{path}: ")
        assert message.endswith("; make it again")
        assert not {"\n", "\x1b"} & set(message)
        assert "weights_only" not in message


def test_an_array_and_an_archive_are_not_taken_for_each_other(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(UserError, match=r"a\.npy: a single array, not an npz archive; cure"):
        read_npz(tmp_path / "a.npy", "cure")
    with pytest.raises(UserError, match=r"a\.npz: an archive of several arrays, not a single one; cure"):
        read_npy(tmp_path / "a.npz", "cure")


def test_a_disk_that_fails_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    """The cure for a damaged checkpoint is to delete it."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "net.pt").write_bytes(b"x")
    monkeypatch.setattr("spinloop.files.weights.run_program", fail)
    with pytest.raises(OSError, match="Input/output"):
        read_weights(tmp_path / "net.pt", "delete it")
