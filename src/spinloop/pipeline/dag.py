"""The pipeline as DVC sees it, in a form from which Snakemake's rules are made.

DVC alone decides what is stale, because it compares contents (data, code, parameters, commands); Snakemake
only decides what runs when and where. So both runners agree, whatever the clocks of the files say.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import networkx
from dvc.dependency import ParamsDependency
from dvc.dependency.param import read_param_file
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc.scm import Git
from dvc.stage import PipelineStage, Stage

from spinloop.errors import UserError
from spinloop.locks import drop_list_of_the_dead
from spinloop.pipeline.job import keep_finished
from spinloop.pipeline.needs import longest_chains, needs_of
from spinloop.pipeline.record import one_line

CODE_STAGE = "list_code"
"""The stage that writes a digest of the code of every command."""


@dataclass(frozen=True)
class StageRule:
    """One stage of `dvc.yaml`, `foreach` and `matrix` expanded."""

    name: str
    """DVC's name, e.g. `train@loop`."""
    rule: str
    """The same as an identifier, e.g. `train_loop`."""
    description: str
    """What it does; `desc` in `dvc.yaml`."""
    inputs: tuple[str, ...]
    """Files and folders it reads, relative to the project; outputs of other stages by their declared path."""
    files: tuple[str, ...]
    """Files it makes."""
    folders: tuple[str, ...]
    """Folders it makes: outputs whose path has no suffix."""
    threads: int
    """Processor cores that it may use; `meta.threads` or `needs`."""
    resources: dict[str, int]
    """`mem_mb`, `runtime` (minutes) and, where it needs one, `gpu`; from `meta` and `needs`."""
    priority: int
    """Minutes from its start to the end of the longest chain that follows it; the largest goes first."""


def read_pipeline(root: Path) -> list[StageRule]:
    """List the stages of the project at `root`, sorted by name.

    Raises:
        UserError: `dvc.yaml`, `params.yaml` or `dvc.lock` is absent or wrong.
    """
    with _open(root) as repo:
        return _rules(repo)


def read_edges(root: Path) -> set[tuple[str, str]]:
    """DVC's edges, as (stage that makes, stage that reads)."""
    with _open(root) as repo:
        return set(_named_graph(repo).edges)


def read_state(root: Path) -> tuple[list[StageRule], set[str]]:
    """The stages, and the names of those that have to run.

    What a killed run left is put in order before: records that wait are written, DVC's list of paths in use
    is checked, and the digests of the code are brought up to date, so that an edit concerns what it reaches.
    """
    with _open(root) as repo:
        keep_finished(repo)
        drop_list_of_the_dead(root)
        rules, stale = _rules(repo), _stale(repo)
    if CODE_STAGE not in stale:
        return rules, stale
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    job = [sys.executable, "-m", "spinloop.pipeline.job", CODE_STAGE]
    done = subprocess.run(job, cwd=root, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{CODE_STAGE}: failed: {' '.join((done.stdout + done.stderr).split())}")
    with _open(root) as repo:
        return _rules(repo), _stale(repo)


@contextmanager
def _open(root: Path) -> Iterator[Repo]:
    """The project as DVC sees it; DVC's errors become one line."""
    try:
        with Repo(str(root), _wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        raise UserError(one_line(error)) from None


def _rules(repo: Repo) -> list[StageRule]:
    stages = _stages(repo)
    holds = _outputs_by_folder([out.def_path for stage in stages for out in stage.outs])
    needs = needs_of(
        {_name(stage): stage.meta or {} for stage in stages}, Path(repo.root_dir) / "params.yaml"
    )
    minutes = longest_chains(_named_graph(repo), {name: need["runtime"] for name, need in needs.items()})
    return [_as_rule(stage, holds, needs[_name(stage)], minutes[_name(stage)]) for stage in stages]


def _stale(repo: Repo) -> set[str]:
    """The stages whose inputs, parameters, command or outputs changed, and all that follow them."""
    made = _outputs_by_folder([out.def_path for stage in _stages(repo) for out in stage.outs])
    status = _status_once(repo)
    changed = {_name(stage) for stage in _stages(repo) if _is_changed(stage, repo, made, status)}
    graph = _named_graph(repo)
    return changed.union(*(networkx.descendants(graph, name) for name in changed))


def _is_changed(
    stage: PipelineStage, repo: Repo, made: dict[str, list[str]], status: Callable[[Output], str]
) -> bool:
    """Whether a stage has to run; raw data that are not here are no reason, if nothing else changed.

    A clone without the licence for them works with what was made from them (`dvc repro --allow-missing`).
    """
    if stage.cmd_changed or stage.is_callback or stage.always_changed or any(map(status, stage.outs)):
        return True
    states = {dep: state for dep in stage.deps if (state := status(dep))}
    return any(state != "deleted" or not _is_raw(dep, repo, made) for dep, state in states.items())


def _is_raw(dep: Output, repo: Repo, made: dict[str, list[str]]) -> bool:
    """Whether an input is data that no stage makes and git does not keep, nor files of it."""
    path = dep.def_path
    if isinstance(dep, ParamsDependency) or path in made or _declared(path, made) != [path]:
        return False
    return not (isinstance(repo.scm, Git) and repo.scm.is_tracked(path))


def _status_once(repo: Repo) -> Callable[[Output], str]:
    """`status()` of an input or output in one word; stages share most of them, and parameter files.

    DVC would parse `params.yaml` once for every stage.
    """
    load = cache(lambda path: read_param_file(repo.fs, path))
    known: dict[tuple[str, str], str] = {}

    def status(path: Output) -> str:
        if isinstance(path, ParamsDependency) and path.params and path.hash_info.value and path.exists:
            recorded, actual = path.hash_info.value, load(path.fs_path)
            same = all(key in recorded and _value(actual, key) == recorded[key] for key in path.params)
            return "" if same else "modified"
        key = (path.fs_path, f"{path.use_cache} {path.hash_info}")
        if key not in known:
            known[key] = str(next(iter(path.status().values()), ""))
        return known[key]

    return status


def _value(values: Any, key: str) -> Any:
    """What stands under `a.b.c`; `...` for nothing."""
    for part in key.split("."):
        values = values.get(part, ...) if isinstance(values, dict) else ...
    return values


def _named_graph(repo: Repo) -> networkx.DiGraph:
    """The stages by name, with edges to those that follow; DVC's point from a stage to what it needs."""
    return networkx.relabel_nodes(
        repo.index.graph.reverse(), {stage: _name(stage) for stage in repo.index.stages}
    )


def _stages(repo: Repo) -> list[PipelineStage]:
    return sorted((stage for stage in repo.index.stages if isinstance(stage, PipelineStage)), key=_name)


def _name(stage: Stage) -> str:
    return str(getattr(stage, "name", None) or stage.addressing)


def _as_rule(
    stage: PipelineStage, holds: dict[str, list[str]], needs: dict[str, int], priority: int
) -> StageRule:
    name = _name(stage)
    # A parameter file is an input only where a stage makes it: values, not bytes, of `params.yaml` count.
    read = [d.def_path for d in stage.deps if d.def_path in holds or not isinstance(d, ParamsDependency)]
    outputs = [out.def_path for out in stage.outs]
    return StageRule(
        name=name,
        rule=re.sub(r"\W", "_", name),
        description=stage.desc or name,
        inputs=tuple(dict.fromkeys(declared for path in read for declared in _declared(path, holds))),
        files=tuple(path for path in outputs if Path(path).suffix),
        folders=tuple(path for path in outputs if not Path(path).suffix),
        threads=needs["threads"],
        resources={key: value for key, value in needs.items() if key != "threads" and value},
        priority=priority,
    )


def _outputs_by_folder(made: list[str]) -> dict[str, list[str]]:
    """Outputs under their own path and under that of every folder that holds them."""
    holds: dict[str, list[str]] = {}
    for out in made:
        for path in (Path(out), *Path(out).parents):
            holds.setdefault(str(path), []).append(out)
    return holds


def _declared(path: str, holds: dict[str, list[str]]) -> list[str]:
    """The outputs that hold `path` or lie in it, so that Snakemake sees the edges; else `path` itself."""
    folders = (str(folder) for folder in Path(path).parents)
    around = [folder for folder in folders if folder in holds.get(folder, ())]
    return around + holds.get(path, []) or [path]
