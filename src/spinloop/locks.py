"""What a killed run leaves among DVC's locks.

DVC's main lock goes with its process. Its list of the paths in use (`.dvc/tmp/rwlock`) does not, and is
written in place: a kill or a full disk leaves it empty, which every later command refuses; and the number of
a dead process may by now be that of another one, which DVC takes for the old.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import make_lock

from spinloop.files import atomic

_FOLDER = Path(".dvc/tmp")
_SECONDS_BETWEEN_LOOKS = 0.5


def drop_locks_of_the_dead(root: Path) -> None:
    """Remove the entries of processes that no longer run DVC, and the whole list where it is damaged.

    Call it before anything of the project runs: on a cluster, a job of an earlier run that still goes on at
    another machine counts as dead.

    Args:
        root: the project's folder.
    """
    path = root / _FOLDER / "rwlock"
    if not path.exists():
        return
    with make_lock(str(path.with_name("rwlock.lock"))):
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            kept = {mode: _kept(entries) for mode, entries in held.items()}
        except (ValueError, AttributeError, TypeError, KeyError):
            kept = {}
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")


def wait_for_twin(root: Path, command: str) -> None:
    """Wait while another process runs the same command: a Snakemake that was killed leaves its jobs running.

    Args:
        root: the project's folder.
        command: what DVC notes down of a process, its words joined by blanks.
    """
    while any(_runs_dvc(pid) for pid in _holders(root / _FOLDER / "rwlock", command) - {os.getpid()}):
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _holders(path: Path, command: str) -> set[int]:
    """Numbers of the processes with this command that use outputs of a stage."""
    try:
        writers = json.loads(path.read_text(encoding="utf-8"))["write"].values()
    except (OSError, ValueError, KeyError):
        return set()
    return {writer["pid"] for writer in writers if writer["cmd"] == command}


def _kept(entries: dict[str, Any]) -> dict[str, Any]:
    """A path's reader list, or its one writer, without those that are gone."""
    kept = {}
    for path, holders in entries.items():
        if isinstance(holders, list):
            kept[path] = [holder for holder in holders if _runs_dvc(holder["pid"])]
        elif _runs_dvc(holders["pid"]):
            kept[path] = holders
    return {path: holders for path, holders in kept.items() if holders}


def _runs_dvc(pid: int) -> bool:
    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any("dvc" in word or "spinloop" in word for word in words)
