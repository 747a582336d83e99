"""What a killed run leaves among DVC's locks is dropped; what a living one holds is kept."""

import json
import os
import subprocess
import sys

import pytest

from spinloop.locks import drop_locks_of_the_dead


@pytest.fixture
def rwlock(tmp_path):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path / ".dvc/tmp/rwlock"


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def living():
    """A process that runs DVC, as far as its command says."""
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc"], stdin=subprocess.PIPE) as process:
        yield process.pid


def test_entries_of_the_dead_and_of_strangers_go(rwlock, gone, living):
    dead, stranger = {"pid": gone, "cmd": "dvc repro"}, {"pid": os.getppid(), "cmd": "dvc repro"}
    alive = {"pid": living, "cmd": "dvc repro"}
    rwlock.write_text(
        json.dumps(
            {"write": {"/a": dead, "/b": alive}, "read": {"/c": [dead, alive, stranger], "/d": [dead]}}
        )
    )
    drop_locks_of_the_dead(rwlock.parents[2])
    assert json.loads(rwlock.read_text()) == {"write": {"/b": alive}, "read": {"/c": [alive]}}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"write": {"/a": 3}}'])
def test_a_damaged_list_is_made_anew(rwlock, text):
    rwlock.write_text(text)
    drop_locks_of_the_dead(rwlock.parents[2])
    assert json.loads(rwlock.read_text()) == {}


def test_without_a_list_nothing_is_made(rwlock):
    drop_locks_of_the_dead(rwlock.parents[2])
    assert not rwlock.exists()
