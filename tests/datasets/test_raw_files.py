"""Lists of raw data against hashlib and the folders they were made from."""

import hashlib
import os

import pytest

from spinloop.datasets.raw_files import Entry, compare, count_files, hash_files, load_entries, walk
from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.stages import check_raw, list_raw

FILES = {"a-b/1.jpg": b"one", "a/2.jpg": b"two", "a.txt": b"", "joints.mat": b"joints"}


@pytest.fixture
def raw(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "lsp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "lsp/.DS_Store").write_bytes(b"hidden")
    return tmp_path / "lsp"


@pytest.fixture
def listed(raw, tmp_path):
    out, summary = tmp_path / "manifest.csv", tmp_path / "summary.json"
    list_raw.run(raw=raw, out=out, summary=summary)
    return out, summary


def test_every_file_of_a_dataset_is_listed_with_size_and_hash(listed):
    wanted = {
        Entry(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()
    }
    found = list(load_entries(listed[0]))
    assert set(found) == wanted
    assert [entry.path for entry in found] == sorted(FILES, key=lambda name: name.split("/"))


def test_the_summary_counts_files_and_bytes_and_knows_the_list(listed):
    sha256 = hashlib.sha256(listed[0].read_bytes()).hexdigest()[:16]
    assert read_json(listed[1]) == {"files": 4, "bytes": 12, "sha256": sha256}


def test_a_linked_dataset_and_linked_files_are_read(raw, tmp_path):
    (raw / "c.jpg").symlink_to(raw / "a.txt")
    (tmp_path / "link").symlink_to(raw)
    assert [path.name for path in walk(tmp_path / "link")] == [
        "2.jpg",
        "1.jpg",
        "a.txt",
        "c.jpg",
        "joints.mat",
    ]


def test_a_linked_folder_inside_is_refused_for_dvc_does_not_look_behind_it(raw, tmp_path):
    (raw / "images").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"images: a link to a folder.*put the files there"):
        count_files(raw)


def test_a_broken_link_is_named_and_what_is_no_file_is_nothing(raw):
    os.mkfifo(raw / "pipe")
    assert count_files(raw) == len(FILES)
    (raw / "moved.jpg").symlink_to(raw / "nowhere.jpg")
    with pytest.raises(UserError, match=r"moved\.jpg: a broken link"):
        count_files(raw)


def test_a_name_that_is_no_utf8_is_listed_and_found_again(raw, tmp_path):
    (raw / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    list_raw.run(raw=raw, out=tmp_path / "list.csv", summary=tmp_path / "summary.json")
    assert list(compare(load_entries(tmp_path / "list.csv"), hash_files(raw))) == []


def test_the_same_data_pass(listed, raw, capsys):
    check_raw.run(manifest=listed[0], raw=raw)
    assert "4 files, all as listed" in capsys.readouterr().err


def test_what_differs_is_named(listed, raw, capsys):
    (raw / "a/2.jpg").write_bytes(b"owt")
    (raw / "joints.mat").unlink()
    (raw / "new.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="1 changed, 1 missing, 1 not listed; get the dataset"):
        check_raw.run(manifest=listed[0], raw=raw)
    said = capsys.readouterr().err
    for line in ("changed: a/2.jpg", "missing: joints.mat", "not listed: new.jpg"):
        assert line in said


@pytest.mark.parametrize(
    ("ours", "theirs", "faults"),
    [
        ("", "ab", ["not listed", "not listed"]),
        ("ab", "", ["missing", "missing"]),
        ("ac", "bd", ["missing", "not listed", "missing", "not listed"]),
        ("abc", "abc", []),
    ],
)
def test_two_lists_are_merged_in_order(ours, theirs, faults):
    lists = [[Entry(f"set/{letter}", 1, letter) for letter in letters] for letters in (ours, theirs)]
    assert [difference.fault for difference in compare(*lists)] == faults


@pytest.mark.parametrize("text", ["", "a,b\n", "path,bytes,sha256\nx,many,0\n", "path,bytes,sha256\nx,1\n"])
def test_something_else_is_refused_with_its_line(text, raw, tmp_path):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=r"manifest.csv: line [12]: not path, ?(bytes|size).*; give the list"):
        check_raw.run(manifest=tmp_path / "manifest.csv", raw=raw)


def test_an_absent_folder_is_named(listed, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        check_raw.run(manifest=listed[0], raw=tmp_path / "nowhere")
