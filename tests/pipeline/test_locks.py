"""What a killed run leaves among DVC's locks is dropped; what a living one holds is kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from spinloop.locks import drop_locks_of_the_dead, wait_for_twin


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


def test_what_an_ended_job_held_does_not_stop_the_same_job_elsewhere(rwlock):
    """On another machine, or among processes that nobody reaps, its number is that of a living process."""
    job, other = ({"pid": os.getppid(), "cmd": f"record.py {name}"} for name in ("train", "report"))
    held = {"write": {"/out": job, "/page": other}, "read": {"/data": [job, other], "/code": [job]}}
    rwlock.write_text(json.dumps(held))
    wait_for_twin(rwlock.parents[2], "record.py train")
    assert json.loads(rwlock.read_text()) == {"write": {"/page": other}, "read": {"/data": [other]}}


def test_a_living_twin_is_waited_for(rwlock, living):
    command = "record.py train"
    rwlock.write_text(json.dumps({"write": {"/out": {"pid": living, "cmd": command}}, "read": {}}))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_for_twin, rwlock.parents[2], command)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1)
        rwlock.write_text(json.dumps({"write": {}, "read": {}}))
        waiting.result(timeout=60)


def test_a_list_in_the_middle_of_being_written_is_left_alone(rwlock):
    rwlock.write_text("{")
    wait_for_twin(rwlock.parents[2], "record.py train")
    assert rwlock.read_text() == "{"
