"""What a killed run leaves among DVC's locks.

DVC's main lock goes with its process. Its list of the paths in use (`.dvc/tmp/rwlock`) does not, and is
written in place: a kill or a full disk leaves it empty, which every later command refuses; and the number of
a dead process may by now be that of another one, which DVC takes for the old.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
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
    _drop(root, lambda holder: not _runs_dvc(holder["pid"]))


def wait_for_twin(root: Path, command: str) -> None:
    """Wait while another process of this machine runs the same command, then remove what any such left.

    A Snakemake that was killed leaves its jobs running. A job that a cluster's time limit ended starts again,
    perhaps on another machine, where the number of the old process may be that of a stranger.

    Args:
        root: the project's folder.
        command: what DVC notes down of a process, its words joined by blanks.
    """
    while twins := [holder["pid"] for holder in _writers(root).values() if holder["cmd"] == command]:
        if not any(pid != os.getpid() and _runs_dvc(pid) for pid in twins):
            _drop(root, lambda holder: holder["cmd"] == command)
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def stages_running(root: Path, outputs: Mapping[str, Sequence[str]]) -> set[str]:
    """Names of the stages whose outputs a living process of this machine is making.

    Args:
        root: the project's folder.
        outputs: what each stage makes, relative to it.
    """
    made = {Path(path) for path, writer in _writers(root).items() if _runs_dvc(writer["pid"])}
    return {
        name for name, paths in outputs.items() if not made.isdisjoint((root / p).resolve() for p in paths)
    }


def _writers(root: Path) -> dict[str, Any]:
    """Path of an output in work → the process that makes it."""
    try:
        return json.loads((root / _FOLDER / "rwlock").read_text(encoding="utf-8"))["write"]
    except (OSError, ValueError, KeyError):
        return {}


def _drop(root: Path, is_gone: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite the list of the paths in use without some who hold them; a damaged one is made anew."""
    path = root / _FOLDER / "rwlock"
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


def _runs_dvc(pid: int) -> bool:
    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any("dvc" in word or "spinloop" in word for word in words)
