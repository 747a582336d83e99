"""One process makes a stage; what a killed run leaves is dropped; what a living one uses is waited for."""

import errno
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spinloop.errors import UserError
from spinloop.locks import drop_list_of_the_dead, hold, hold_outputs, stages_running


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / ".dvc/tmp/spinloop").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def rwlock(root) -> Path:
    return root / ".dvc/tmp/rwlock"


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def living():
    """A process that runs DVC, as far as its command says."""
    command = [sys.executable, "-c", "print(flush=True); input()", "dvc"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process


def users(path: str, pid: int) -> str:
    return json.dumps({"write": {path: {"pid": pid, "cmd": "dvc repro"}}, "read": {}})


def test_a_list_of_the_dead_and_of_strangers_goes(root, rwlock, gone):
    for pid in (gone, os.getppid()):
        rwlock.write_text(users("/a", pid))
        drop_list_of_the_dead(root)
        assert not rwlock.exists()


def test_a_list_in_which_a_process_lives_stays(root, rwlock, living):
    rwlock.write_text(users("/a", living.pid))
    drop_list_of_the_dead(root)
    assert rwlock.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"write": {"/a": 3}}'])
def test_a_damaged_list_goes(root, rwlock, text):
    rwlock.write_text(text)
    drop_list_of_the_dead(root)
    assert not rwlock.exists()


def test_without_a_list_nothing_happens(root):
    drop_list_of_the_dead(root)


# Makes a stage until its input ends, on a machine of another name.
MAKER = """
import socket, sys
from pathlib import Path
socket.gethostname = lambda: "elsewhere"
from spinloop.locks import hold
with hold(Path(sys.argv[1]), "train"):
    print("makes", flush=True)
    input()
"""


@pytest.fixture
def elsewhere(root):
    """A process on another machine that makes `train`; there it has a number that nobody has here."""
    command = [sys.executable, "-c", MAKER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "makes\n"
        yield process


def test_a_stage_runs_on_another_machine_while_its_lock_is_held(root, rwlock, elsewhere, gone):
    rwlock.write_text(users("/a", gone))
    drop_list_of_the_dead(root)
    assert rwlock.exists()
    assert stages_running(root, {"train": ["out"], "report": ["page"]}) == {"train"}
    elsewhere.kill()
    elsewhere.wait()
    assert stages_running(root, {"train": ["out"]}) == set()


def test_a_twin_on_another_machine_is_waited_for_with_a_line_that_tells_the_fix(root, elsewhere, capfd):
    def make() -> dict[str, Any]:
        with hold(root, "train"):
            return json.loads(file.read_text())

    file = root / ".dvc/tmp/spinloop/train.lock"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(make)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=2)
        elsewhere.stdin.close()
        assert waiting.result(timeout=60) == {"pid": os.getpid(), "host": socket.gethostname()}
    fix = f"if that machine is gone, remove {file}"
    line = f"train: waits: process {elsewhere.pid} on elsewhere makes it; {fix}\n"
    assert capfd.readouterr().err == line
    assert file.read_text() == ""


@pytest.mark.parametrize(("path", "runs"), [("out", True), ("other", False)])
def test_a_stage_runs_while_dvc_writes_what_it_makes(root, rwlock, living, path, runs):
    rwlock.write_text(users(f"{root}/{path}", living.pid))
    assert bool(stages_running(root, {"train": ["out"]})) is runs


def test_without_locks_of_the_file_system_another_machine_is_believed(root, living, gone, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    file = root / ".dvc/tmp/spinloop/train.lock"
    here = socket.gethostname()
    for holder, lives in (((gone, "elsewhere"), True), ((living.pid, here), True), ((gone, here), False)):
        file.write_text(json.dumps(dict(zip(("pid", "host"), holder, strict=True))))
        assert bool(stages_running(root, {"train": ["out"]})) is lives, holder
    with hold(root, "train"):
        assert json.loads(file.read_text()) == {"pid": os.getpid(), "host": here}
    assert file.read_text() == ""


# Writes an output until its input ends.
WRITER = """
import sys
from pathlib import Path
from spinloop.locks import hold_outputs
with hold_outputs([Path(sys.argv[1])]):
    print("writes", flush=True)
    input()
"""


@pytest.mark.parametrize("ends", ["in order", "killed"])
def test_an_output_that_another_process_writes_is_refused_until_it_ends(tmp_path, ends):
    out = tmp_path / "new/out.npz"
    command = [sys.executable, "-c", WRITER, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writes\n"
        says = rf"^{out}: process {writer.pid} on {socket.gethostname()} writes it"
        with pytest.raises(UserError, match=says), hold_outputs([tmp_path / "other", out]):
            pytest.fail("two at once")
        assert not (tmp_path / ".other.lock").exists()
        writer.kill() if ends == "killed" else writer.stdin.close()
        writer.wait()
    with hold_outputs([out, tmp_path / "new/../new/out.npz"]):
        out.touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "new", out]


def test_a_command_that_makes_nothing_leaves_no_folder(tmp_path):
    with hold_outputs([tmp_path / "a/b/out"]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_left_to_the_command(tmp_path):
    (tmp_path / "file").touch()
    with hold_outputs([tmp_path / "file/out"]):
        pass
