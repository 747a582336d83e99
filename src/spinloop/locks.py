"""Who makes a stage or writes an output: locks of the file system, and DVC's list of the paths in use.

A job holds `flock` on a file of its stage, and a command on a file beside each of its outputs. The file names
the process and its machine. The lock goes with the process and holds on all machines that share the folder.
"""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

from spinloop.errors import UserError

_SECONDS_BETWEEN_LOOKS = 0.5
_JOB = "spinloop/pipeline/job.py"


def file_of(root: Path, name: str) -> Path:
    """A file in the folder that the jobs of the project at `root` share."""
    return root / ".dvc/tmp/spinloop" / quote(name, safe="@")


@contextmanager
def hold(root: Path, stage: str) -> Iterator[None]:
    """Wait while another process, on any machine, makes the same stage; then keep others out."""
    path = file_of(root, f"{stage}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    looks = 0
    while (file := _try_lock(path, "a+", fcntl.LOCK_EX)) is None:
        looks += 1
        if looks == 2:  # at the first look another process may only have looked, too
            print(f"{stage}: waits: {_who(path, 'makes')}", file=sys.stderr, flush=True)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    with file:
        _sign(file)
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """A moment in which no other job of the project is in such a block."""
    with file_of(root, "lock").open("w") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def hold_outputs(paths: Iterable[Path]) -> Iterator[None]:
    """Keep other commands from writing the same files and folders.

    Raises:
        UserError: another process writes one of them; the message names it.
    """
    with ExitStack() as held:
        for path in sorted({path.resolve() for path in paths}):
            held.enter_context(_hold_output(path))
        yield


@contextmanager
def _hold_output(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    missing = [folder for folder in lock.parents if not folder.exists()]
    file = None
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = _try_lock(lock, "a+", fcntl.LOCK_EX)
            if file is None:
                raise UserError(f"{path}: {_who(lock, 'writes')}; wait until it has ended")
            with suppress(FileNotFoundError):  # its last owner has just removed it
                if os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                    break
            file.close()
        _sign(file)
    except OSError:
        pass  # a folder that cannot be written: the command says so
    try:
        yield
    finally:
        with suppress(OSError):
            if file is not None:
                lock.unlink(missing_ok=True)
                file.close()
            for folder in missing:
                folder.rmdir()


def stages_running(root: Path, outputs: Mapping[str, Sequence[str]]) -> set[str]:
    """Names of the stages that a job or `dvc repro` makes now.

    Args:
        root: the project's folder.
        outputs: what each stage makes, relative to it.
    """
    made = {Path(path) for path, pid in _paths_in_use(root, "write") if _runs_dvc(pid)}
    return {
        stage
        for stage, paths in outputs.items()
        if is_locked(file_of(root, f"{stage}.lock"))
        or not made.isdisjoint((root / path).resolve() for path in paths)
    }


def drop_list_of_the_dead(root: Path) -> None:
    """Remove DVC's list of paths in use if it is damaged or none of its processes lives, as DVC advises."""
    pids = {pid for mode in ("write", "read") for _, pid in _paths_in_use(root, mode)}
    if not any(map(_runs_dvc, pids)) and not any(map(is_locked, file_of(root, "").glob("*.lock"))):
        (root / ".dvc/tmp/rwlock").unlink(missing_ok=True)


def without_the_dead(root: Path, users: Mapping[str, Any], own: str) -> dict[str, Any]:
    """DVC's list of paths in use without the entries of ended processes.

    The number of a process says little of it: on another machine of the cluster, or later, it belongs to
    somebody else. A job lives as long as the lock of its stage is held; `dvc repro` as long as a process of
    that number runs DVC.

    Args:
        root: the project's folder.
        users: the list's content.
        own: the stage whose lock this process holds; another job of it is dead.
    """

    def lives(user: Mapping[str, Any]) -> bool:
        stage = stage_of_job(user["cmd"])
        if stage is None:
            return _runs_dvc(user["pid"])
        return stage != own and is_locked(file_of(root, f"{stage}.lock"))

    writers = {path: user for path, user in users.get("write", {}).items() if lives(user)}
    readers = {path: list(filter(lives, each)) for path, each in users.get("read", {}).items()}
    return {"write": writers, "read": {path: each for path, each in readers.items() if each}}


def stage_of_job(command: str) -> str | None:
    """The stage of a job, by its command in DVC's list; None if it is no job."""
    script, _, stage = command.rpartition(" ")
    return stage if script.endswith(_JOB) else None


def _paths_in_use(root: Path, mode: str) -> Iterator[tuple[str, int]]:
    """What DVC notes: paths, each with the number of a process; none while the list is being written."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        users = json.loads((root / ".dvc/tmp/rwlock").read_text(encoding="utf-8"))[mode]
        for path, users_of_path in users.items():
            for user in users_of_path if isinstance(users_of_path, list) else [users_of_path]:
                yield path, int(user["pid"])


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    file = _try_lock(path, "r", fcntl.LOCK_SH) if path.exists() else None
    if file is not None:
        file.close()
    return file is None and path.exists()


def _try_lock(path: Path, mode: str, kind: int) -> IO[str] | None:
    """The open file, locked until it is closed; None if another process has it."""
    file = path.open(mode, encoding="utf-8")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks: numbers tell of this machine's processes alone
        holder = _holder(path)
        if not holder or (holder["host"] == socket.gethostname() and not _runs_dvc(holder["pid"])):
            return file
    file.close()
    return None


def _holder(path: Path) -> dict[str, Any]:
    """Who holds a lock, or held it and was killed: number and machine; empty of nobody."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _sign(file: IO[str]) -> None:
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    file.flush()


def _who(path: Path, does: str) -> str:
    holder = _holder(path)
    if not holder:
        return f"another process {does} it"
    return f"process {holder['pid']} on {holder['host']} {does} it; if that machine is gone, remove {path}"


def _runs_dvc(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        words = psutil.Process(pid).cmdline()
        return pid != os.getpid() and any(
            name in word for word in words for name in ("dvc", "spinloop", "snakemake")
        )
    return False
