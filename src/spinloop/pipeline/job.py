"""Make one stage and record it: `python -m spinloop.pipeline.job STAGE`, the command of Snakemake's jobs.

The stage is what DVC makes of `dvc.yaml` and `params.yaml` now. DVC decides whether it is stale, runs its
command, hashes and keeps its outputs; no other stage is looked at. Meanwhile the stage's paths stand on DVC's
list of paths in use, but DVC's lock of the whole project is free.
"""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dvcfile import ProjectFile
from dvc.exceptions import DvcException
from dvc.lock import LockError, make_lock
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.loader import StageLoader
from dvc.stage.run import cmd_run

from spinloop.locks import hold, one_at_a_time, stages_running, without_the_dead
from spinloop.params.loader import PARAMETERS_VARIABLE, digest_read
from spinloop.pipeline.record import leave_record, one_line, read_record, record_finished, stages_to_keep

PARAMETERS = "params.yaml"
# Another command than ours has read its parameters, and ours imported its code, this long after its start.
_SECONDS_TO_READ_PARAMETERS = 60
_SECONDS_BETWEEN_LOOKS = 0.5


def run_stage(name: str) -> int:
    """Bring one stage up to date, once no other process makes it.

    Returns:
        The exit status: 0, or 1 after one line that says what was wrong.
    """
    root = Path.cwd()
    try:
        with hold(root, name), Repo(str(root)) as repo:
            with _in_use(load_stage(repo, name)):
                stage = load_stage(repo, name)  # whoever was waited for may have made it
                if is_fresh(stage):
                    print(f"Stage '{name}' didn't change, skipping")
                else:
                    _make(stage)
                    _keep(stage)
            record_finished(repo)
    except (DvcException, OSError) as error:
        print(f"{name}: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def keep_finished(repo: Repo) -> None:
    """Record what killed jobs had finished; those that still run do it themselves."""
    root = Path(repo.root_dir)
    for name in set(stages_to_keep(root)) - stages_running(root, {name: () for name in stages_to_keep(root)}):
        with hold(root, name), chdir(root):  # DVC's run cache looks for dvc.yaml there
            stage = load_stage(repo, name)
            if not stage.cmd_changed and name in stages_to_keep(root):
                with _in_use(stage):
                    _keep(stage)
    record_finished(repo)


def load_stage(repo: Repo, name: str) -> PipelineStage:
    """One stage as `dvc.yaml` describes it, with what is recorded of it."""
    file = ProjectFile(repo, str(Path(repo.root_dir) / "dvc.yaml"))
    return StageLoader(file, file.contents, read_record(Path(repo.root_dir), name))[name]


def is_fresh(stage: PipelineStage) -> bool:
    """Whether command, inputs, parameters and outputs are those that are recorded."""
    return not (
        stage.cmd_changed
        or stage.is_callback
        or stage.always_changed
        or any(path.status() for path in [*stage.deps, *stage.outs])
    )


@contextmanager
def _in_use(stage: PipelineStage) -> Iterator[None]:
    """Put the stage's paths on DVC's list, once no living process reads or writes them for DVC.

    What `dvc repro` would do with them meanwhile it refuses, with the number of this process.
    """
    repo = stage.repo
    paths = [dep.fs_path for dep in stage.deps], [out.fs_path for out in stage.outs]
    name = " ".join(sys.argv)  # as DVC calls this process in the same list
    hardlink = repo.config["core"].get("hardlink_lock", False)
    listed = ExitStack()
    said = ""
    while True:
        try:
            listed.enter_context(rwlock(repo.tmp_dir, repo.fs, name, *paths, hardlink))
            break
        except LockError as error:
            if "PID" not in str(error):  # another job writes the list at this moment
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            elif not _drop_the_dead(repo, str(stage.name), hardlink):
                if not said:
                    said = one_line(error)
                    print(f"{stage.name}: waits: {said}", file=sys.stderr, flush=True)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        # The list drops ended processes; DVC on another machine may have taken this one for ended.
        with suppress(LockError, AssertionError, LookupError):
            listed.close()


def _drop_the_dead(repo: Repo, own: str, hardlink: bool) -> bool:
    """Take ended processes off DVC's list; returns whether there were any."""
    path = Path(str(repo.tmp_dir)) / "rwlock"
    try:
        with make_lock(f"{path}.lock", tmp_dir=repo.tmp_dir, hardlink_lock=hardlink):  # as DVC guards it
            before = json.loads(path.read_text(encoding="utf-8"))
            after = without_the_dead(Path(repo.root_dir), before, own)
            if after != before:
                path.write_text(json.dumps(after), encoding="utf-8")
            return after != before
    except (LockError, FileNotFoundError):
        return False


def _make(stage: PipelineStage) -> None:
    """Fetch the outputs, if DVC keeps what the same command made of the same inputs; else run the command."""
    for out in stage.outs:
        out.remove(ignore_remove=False)
    stage.cmd_changed = stage.cmd_changed or any(dep.status() for dep in stage.deps)
    parameters = _save_inputs(stage)
    if not _fetch(stage):
        start = time.time()
        cmd_run(stage, run_env={PARAMETERS_VARIABLE: parameters} if parameters else None)
        changed = [str(dep) for dep in stage.deps if dep.status() and not _was_read_before(dep, stage, start)]
        if changed:
            raise DvcException(f"{', '.join(changed)}: changed while it ran; not recorded, run it again")
        leave_record(stage, is_kept=False)


def _save_inputs(stage: PipelineStage) -> str:
    """Hash the inputs; digest of the parameter file from which DVC took values, empty without one."""
    path = Path(stage.repo.root_dir) / PARAMETERS
    while path.is_file():
        before = digest_read(path)
        stage.save_deps()
        if digest_read(path) == before:
            return before
    stage.save_deps()
    return ""


def recorded_values(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the parameters of a stage in `dvc.yaml` that differ between two contents of params.yaml."""
    with Repo() as repo:
        deps = load_stage(repo, name).deps
    return [
        key
        for dep in deps
        if isinstance(dep, ParamsDependency) and Path(dep.fs_path).name == PARAMETERS
        for key in dep.params
        if _value(before, key) != _value(after, key)
    ]


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _keep(stage: PipelineStage) -> None:
    """Let DVC hash and keep the outputs."""
    with one_at_a_time(Path(stage.repo.root_dir)):
        stage.ignore_outs()  # writes .gitignore
    stage.save_outs()
    for out in stage.outs:
        out.commit()
    stage.repo.stage_cache.save(stage)
    leave_record(stage, is_kept=True)


def _fetch(stage: PipelineStage) -> bool:
    """Whether DVC kept the outputs and brought them back; this alone needs DVC's lock."""
    kept, lock = stage.repo.stage_cache, stage.repo.lock
    try:
        kept.restore(stage, dry=True)
        while not lock.is_locked:
            with suppress(LockError):  # after three seconds
                lock.lock()
        kept.restore(stage)
    except (RunCacheNotFoundError, LockError):
        return False
    finally:
        if lock.is_locked:
            lock.unlock()
    return True


def _was_read_before(dep: object, stage: PipelineStage, start: float) -> bool:
    """Whether a parameter file was edited after the command had read it; what it read is recorded."""
    if not isinstance(dep, ParamsDependency) or not Path(dep.fs_path).exists():
        return False
    if Path(dep.fs_path).name == PARAMETERS and re.search(r"\bspinloop \w", str(stage.cmd)):
        return True  # else the command had refused it
    return Path(dep.fs_path).stat().st_mtime > start + _SECONDS_TO_READ_PARAMETERS


if __name__ == "__main__":
    raise SystemExit(run_stage(sys.argv[1]))
