"""What a killed run leaves among DVC's locks is dropped; what a living one holds is kept."""

import errno
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dvc.rwlock
import pytest
from dvc.fs import localfs
from dvc.lock import LockError

from spinloop.pipeline.locks import drop_locks_of_the_dead, only_maker, respect_other_machines, stages_running


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
    job, other = ({"pid": os.getppid(), "cmd": f"/there/record.py {name}"} for name in ("train", "report"))
    held = {"write": {"/out": job, "/page": other}, "read": {"/data": [job, other], "/code": [job]}}
    rwlock.write_text(json.dumps(held))
    with only_maker(rwlock.parents[2], "train"):
        assert json.loads(rwlock.read_text()) == {"write": {"/page": other}, "read": {"/data": [other]}}


def test_a_list_in_the_middle_of_being_written_is_left_alone(rwlock):
    rwlock.write_text("{")
    with only_maker(rwlock.parents[2], "train"):
        assert rwlock.read_text() == "{"


# Makes a stage until its input ends, on a machine of another name.
MAKER = """
import socket, sys
from pathlib import Path
socket.gethostname = lambda: "elsewhere"
from spinloop.locks import only_maker
with only_maker(Path(sys.argv[1]), "train"):
    print("makes", flush=True)
    input()
"""


@pytest.fixture
def elsewhere(rwlock):
    """A process on another machine that makes `train`; there it has a number that nobody has here."""
    command = [sys.executable, "-c", MAKER, str(rwlock.parents[2])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "makes\n"
        yield process


@pytest.fixture
def held(rwlock, gone):
    """What DVC noted down of it."""
    job = {"pid": gone, "cmd": "/there/spinloop/record.py train"}
    entries = {"write": {f"{rwlock.parents[2]}/out": job}, "read": {f"{rwlock.parents[2]}/data": [job]}}
    rwlock.write_text(json.dumps(entries))
    return entries


def test_a_process_of_another_machine_is_dead_when_its_lock_is_free_not_by_its_number(
    rwlock, elsewhere, held
):
    drop_locks_of_the_dead(rwlock.parents[2])
    assert json.loads(rwlock.read_text()) == held
    assert stages_running(rwlock.parents[2], {"train": ["out"], "report": ["page"]}) == {"train"}
    elsewhere.kill()
    elsewhere.wait()
    assert stages_running(rwlock.parents[2], {"train": ["out"]}) == set()
    drop_locks_of_the_dead(rwlock.parents[2])
    assert json.loads(rwlock.read_text()) == {"write": {}, "read": {}}


def test_a_twin_on_another_machine_is_waited_for_with_a_line_that_tells_the_cure(rwlock, elsewhere, capfd):
    def make() -> dict[str, Any]:
        with only_maker(rwlock.parents[2], "train"):
            return json.loads(file.read_text())

    file = rwlock.with_name("makers") / "train.json"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(make)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=2)
        elsewhere.stdin.close()
        assert waiting.result(timeout=60) == {"pid": os.getpid(), "host": socket.gethostname()}
    cure = f"if that machine is gone, remove {file}"
    line = f"train: waits: process {elsewhere.pid} on elsewhere makes it; {cure}\n"
    assert capfd.readouterr().err == line
    assert file.read_text() == ""


@pytest.mark.parametrize(("read", "write"), [(["out/part"], []), ([], ["out"]), ([], ["data"])])
def test_dvc_does_not_take_over_what_another_machine_uses(rwlock, elsewhere, held, read, write, monkeypatch):
    """Left to itself, it drops an entry of a number that this machine has not."""
    monkeypatch.setattr("dvc.rwlock.rwlock", dvc.rwlock.rwlock)  # put back after the test
    respect_other_machines()
    paths = [[f"{rwlock.parents[2]}/{path}" for path in each] for each in (read, write)]
    with (
        pytest.raises(
            LockError, match=rf"is in use: process {elsewhere.pid} on elsewhere makes it; .*remove"
        ),
        dvc.rwlock.rwlock(str(rwlock.parent), localfs, "record.py report", *paths, False),
    ):
        pass
    assert json.loads(rwlock.read_text()) == held
    elsewhere.kill()
    elsewhere.wait()
    with dvc.rwlock.rwlock(str(rwlock.parent), localfs, "record.py report", *paths, False):
        pass


def test_without_locks_of_the_file_system_another_machine_is_believed(
    rwlock, held, living, gone, monkeypatch
):
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    file = rwlock.with_name("makers") / "train.json"
    file.parent.mkdir()
    here = socket.gethostname()
    for maker, lives in (((gone, "elsewhere"), True), ((living, here), True), ((gone, here), False)):
        file.write_text(json.dumps(dict(zip(("pid", "host"), maker, strict=True))))
        assert bool(stages_running(rwlock.parents[2], {"train": ["out"]})) is lives, maker
    rwlock.unlink()  # nobody can rewrite it there
    with only_maker(rwlock.parents[2], "train"):
        assert json.loads(file.read_text()) == {"pid": os.getpid(), "host": here}
    assert file.read_text() == ""
