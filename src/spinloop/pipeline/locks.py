"""Who makes what: which entries among DVC's locks are of processes that live, on this machine or another.

DVC's main lock goes with its process. Its list of the paths in use (`.dvc/tmp/rwlock`) does not, and is
written in place: a kill or a full disk leaves it empty, which every later command refuses. It notes numbers
of processes, which mean something on one machine only, and later may be those of others.

So a job that makes a stage through `spinloop.pipeline.record` also holds a lock of the file system, on a
file that tells its number and machine. Such a lock goes with its process and, as the main lock of DVC, holds
on all machines that share the folder. Of what `dvc repro` alone noted down, only this machine's numbers can
be looked up.
"""

import fcntl
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import dvc.rwlock
import psutil
from dvc.fs import localfs
from dvc.lock import LockError, make_lock

from spinloop.files import atomic

_FOLDER, _MODES = Path(".dvc/tmp"), ("write", "read")
_SECONDS_BETWEEN_LOOKS = 0.5
_RECORD = re.compile(r"\brecord\.py (\S+)$")

_dvcs_rwlock = dvc.rwlock.rwlock


def drop_locks_of_the_dead(root: Path) -> None:
    """Remove the entries of processes that no longer run DVC, and the whole list where it is damaged.

    Args:
        root: the project's folder.
    """
    lives = _once_each(_lives, root / _FOLDER)
    _drop(root / _FOLDER, lambda holder: not lives(holder))


@contextmanager
def only_maker(root: Path, stage: str) -> Iterator[None]:
    """Wait while another process, on any machine, makes the same stage; then keep others out.

    A Snakemake that was killed leaves its jobs running. A job that a cluster's time limit ended starts again,
    perhaps on another machine; what its first try left in DVC's list is removed.

    Args:
        root: the project's folder.
        stage: its name.
    """
    folder = root / _FOLDER
    path = _maker_file(folder, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _wait_for_lock(path, stage)
    with file:
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        if any(_stage_of(holder) == stage for mode in _MODES for _, holder in _entries(folder, mode)):
            _drop(folder, lambda holder: _stage_of(holder) == stage)
        try:
            yield
        finally:
            file.truncate(0)


def respect_other_machines() -> None:
    """Let DVC, in this process, take no process of another machine for dead."""
    dvc.rwlock.rwlock = _rwlock


def stages_running(root: Path, outputs: Mapping[str, Sequence[str]]) -> set[str]:
    """Names of the stages whose outputs a living process is making.

    Args:
        root: the project's folder.
        outputs: what each stage makes, relative to it.
    """
    folder = root / _FOLDER
    lives = _once_each(_lives, folder)
    made = {Path(path) for path, writer in _entries(folder, "write") if lives(writer)}
    return {
        name for name, paths in outputs.items() if not made.isdisjoint((root / p).resolve() for p in paths)
    }


@contextmanager
def _rwlock(
    tmp_dir: str, fs: Any, cmd: str, read: list[str], write: list[str], hardlink: bool
) -> Iterator[None]:
    """Stands in for `dvc.rwlock.rwlock`, which drops the entry of a number that no process here has."""
    folder = Path(tmp_dir)
    lives_elsewhere = _once_each(_lives_elsewhere, folder)
    for mode, wanted in (("write", [*read, *write]), ("read", write)):
        for path, holder in _entries(folder, mode):
            if any(localfs.overlaps(one, path) for one in wanted) and lives_elsewhere(holder):
                raise LockError(f"{path} is in use: {_who(_maker_file(folder, _stage_of(holder)))}")
    with _dvcs_rwlock(tmp_dir, fs, cmd, read, write, hardlink):
        yield


def _entries(folder: Path, mode: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The paths in use, each with a process that uses it; none while the list is being written."""
    try:
        held = json.loads((folder / "rwlock").read_text(encoding="utf-8"))[mode]
    except (OSError, ValueError, KeyError):
        return
    for path, holders in held.items():
        for holder in holders if isinstance(holders, list) else [holders]:
            yield path, holder


def _drop(folder: Path, is_gone: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite the list of the paths in use without some who hold them; a damaged one is made anew."""
    path = folder / "rwlock"
    if not path.exists():
        return
    with make_lock(str(path.with_name("rwlock.lock")), wait=True):
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            kept = {mode: _kept(entries, is_gone) for mode, entries in held.items()}
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {}
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")


def _kept(entries: dict[str, Any], is_gone: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A path's reader list, or its one writer, without those that are gone."""
    kept = {}
    for path, holders in entries.items():
        if isinstance(holders, list):
            kept[path] = [holder for holder in holders if not is_gone(holder)]
        elif not is_gone(holders):
            kept[path] = holders
    return {path: holders for path, holders in kept.items() if holders}


def _once_each(check: Callable[[Path, Mapping[str, Any]], bool], folder: Path) -> Callable[..., bool]:
    """The same check, made once for all entries of a process: each look takes and frees a lock."""
    known: dict[tuple[int, str], bool] = {}

    def look(holder: Mapping[str, Any]) -> bool:
        process = holder["pid"], holder["cmd"]
        if process not in known:
            known[process] = check(folder, holder)
        return known[process]

    return look


def _lives(folder: Path, holder: Mapping[str, Any]) -> bool:
    """Whether the process still runs: one of `spinloop.pipeline.record` anywhere, another on this machine."""
    stage = _stage_of(holder)
    return _is_locked(_maker_file(folder, stage)) if stage else _runs_dvc(holder["pid"])


def _lives_elsewhere(folder: Path, holder: Mapping[str, Any]) -> bool:
    path = _maker_file(folder, _stage_of(holder))
    return _maker(path).get("host", socket.gethostname()) != socket.gethostname() and _is_locked(path)


def _stage_of(holder: Mapping[str, Any]) -> str:
    """The stage that `spinloop.pipeline.record` makes; empty of other commands."""
    found = _RECORD.search(holder["cmd"])
    return found[1] if found else ""


def _maker_file(folder: Path, stage: str) -> Path:
    return folder / "makers" / quote(f"{stage}.json", safe="@")


def _maker(path: Path) -> dict[str, Any]:
    """Who holds the lock, or held it and was killed: number and machine; empty of nobody."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _who(path: Path) -> str:
    maker = _maker(path)
    if not maker:
        return "another process makes it"
    return f"process {maker['pid']} on {maker['host']} makes it; if that machine is gone, remove {path}"


def _is_locked(path: Path) -> bool:
    """Whether somebody makes the stage now."""
    try:
        file = _try_lock(path, "r", fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
    if file is not None:
        file.close()
    return file is None


def _wait_for_lock(path: Path, stage: str) -> IO[str]:
    """The open file, locked; whoever watches is told once for whom this waits."""
    looks = 0
    while (file := _try_lock(path, "a+", fcntl.LOCK_EX)) is None:
        looks += 1
        if looks == 2:  # what held it at the first look may only have looked, too
            print(f"{stage}: waits: {_who(path)}", file=sys.stderr, flush=True)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return file


def _try_lock(path: Path, mode: str, kind: int) -> IO[str] | None:
    """The open file, locked until it is closed; None if another process has it."""
    file = path.open(mode, encoding="utf-8")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        is_free = True
    except BlockingIOError:
        is_free = False
    except OSError:  # a file system without locks
        is_free = not _may_live(_maker(path))
    if is_free:
        return file
    file.close()
    return None


def _may_live(maker: Mapping[str, Any]) -> bool:
    """What a number says: of this machine's processes all, of another's nothing."""
    return bool(maker) and (maker["host"] != socket.gethostname() or _runs_dvc(maker["pid"]))


def _runs_dvc(pid: int) -> bool:
    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any("dvc" in word or "spinloop" in word for word in words)
