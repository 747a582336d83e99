"""The pipeline as DVC sees it, in a form from which Snakemake's rules are made.

DVC alone decides what is stale, because it compares contents (data, code, parameters, commands); Snakemake
only decides what runs when and where. So both doors always agree, whatever the clocks of the files say.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx
from dvc.dependency import ParamsDependency, param
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.output import Output
from dvc.repo import Repo
from dvc.scm import Git
from dvc.stage import PipelineStage, Stage

from spinloop.errors import UserError
from spinloop.params.loader import NeedsParams, StageNeeds, load_section, load_yaml, parse_section
from spinloop.pipeline.locks import respect_other_machines

CODE_STAGE = "list_code"
"""The stage that writes a digest of the code of every command."""
DEFAULT_NEEDS = {"threads": 1, "mem_mb": 1000, "runtime": 60}


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
    """Minutes of `runtime` from its start to the end of the longest chain that follows it: of the stages
    that could start, the one on which most time depends goes first."""


def read_pipeline(root: Path) -> list[StageRule]:
    """List the stages of the project at `root`, sorted by name.

    Raises:
        UserError: `dvc.yaml`, `params.yaml` or `dvc.lock` is absent or wrong.
    """
    with _open(root) as repo:
        return _rules(repo)


def read_state(root: Path) -> tuple[list[StageRule], set[str]]:
    """`read_pipeline` and `stale_stages` at once: reading the pipeline is what takes the time."""
    with _open(root) as repo:
        return _rules(repo), _stale(repo)


def read_current_state(root: Path) -> tuple[list[StageRule], set[str]]:
    """`read_state` after the stage that digests the code has run, if the code changed."""
    rules, stale = read_state(root)
    if CODE_STAGE not in stale:
        return rules, stale
    job = [sys.executable, "-m", "spinloop.pipeline.record", CODE_STAGE]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(job, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(f"{CODE_STAGE}: failed; see above")
    return read_state(root)


def read_edges(root: Path) -> set[tuple[str, str]]:
    """DVC's own edges, as (stage that makes, stage that reads)."""
    with _open(root) as repo:
        return {(_name(made), _name(reader)) for reader, made in repo.index.graph.edges}


def stale_stages(root: Path) -> set[str]:
    """Names of the stages that have to run: whose inputs or outputs changed, and all that follow them."""
    with _open(root) as repo:
        return _stale(repo)


@contextmanager
def _open(root: Path) -> Iterator[Repo]:
    """The project as DVC sees it; what DVC has to complain about becomes one line."""
    try:
        with Repo(str(root), _wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        raise UserError(one_line(error)) from None


def _rules(repo: Repo) -> list[StageRule]:
    stages = _stages(repo)
    holds = _outputs_by_folder([out.def_path for stage in stages for out in stage.outs])
    needs = _needs(repo, stages)
    ways = _longest_ways(repo, {name: need["runtime"] for name, need in needs.items()})
    return [_as_rule(stage, holds, needs[_name(stage)], ways[_name(stage)]) for stage in stages]


def _stale(repo: Repo) -> set[str]:
    """Not by `repo.status()`, which reads the whole pipeline anew before and after."""
    respect_other_machines()
    made = _outputs_by_folder([out.def_path for stage in _stages(repo) for out in stage.outs])
    graph = networkx.relabel_nodes(repo.index.graph, {stage: _name(stage) for stage in repo.index.stages})
    with repo.lock, _each_look_once():
        changed = {_name(stage) for stage in _stages(repo) if _is_changed(stage, repo, made)}
    # DVC's edges point from a stage to what it needs, so its ancestors are the stages that follow it.
    return changed.union(*(networkx.ancestors(graph, name) for name in changed))


def _is_changed(stage: PipelineStage, repo: Repo, made: dict[str, list[str]]) -> bool:
    """Whether a stage has to run; raw data that are not here do not say so, if only they are amiss.

    Whoever has no licence for them works with what was made from them (`dvc repro --allow-missing`).
    """
    try:
        faults = stage.status().get(str(stage.addressing), [])
    except LockError:
        return True  # another process writes what this stage makes or reads
    return any(not isinstance(fault, dict) or not _is_absence(fault, repo, made) for fault in faults)


def _is_absence(fault: dict[str, Any], repo: Repo, made: dict[str, list[str]]) -> bool:
    """Whether nothing is amiss but inputs that are absent, no stage makes and git does not keep."""
    absent = fault.get("changed deps", {})
    return set(fault) == {"changed deps"} and all(
        state == "deleted"
        and path not in made
        and _declared(path, made) == [path]
        and not _in_git(path, repo)
        for path, state in absent.items()
    )


@contextmanager
def _each_look_once() -> Iterator[None]:
    """Stages share most of what they read, files and parameters; DVC would look anew for each of them."""
    hash_of: dict[str, Any] = {}
    values_of: dict[str, Any] = {}
    look, read = Output.get_hash, param.load_path

    def get_hash(self: Output) -> Any:
        if self.fs_path not in hash_of:
            hash_of[self.fs_path] = look(self)
        return hash_of[self.fs_path]

    def load_path(path: str, fs: Any) -> Any:
        if path not in values_of:
            values_of[path] = read(path, fs)
        return values_of[path]

    Output.get_hash, param.load_path = get_hash, load_path
    try:
        yield
    finally:
        Output.get_hash, param.load_path = look, read


def _stages(repo: Repo) -> list[PipelineStage]:
    stages = (stage for stage in repo.index.stages if isinstance(stage, PipelineStage))
    return sorted(stages, key=_name)


def _name(stage: Stage) -> str:
    return str(getattr(stage, "name", None) or stage.addressing)


def _needs(repo: Repo, stages: list[PipelineStage]) -> dict[str, dict[str, int]]:
    """Of each stage, by name: `meta` of `dvc.yaml`, and over it what the section `needs` says."""
    params = Path(repo.root_dir) / "params.yaml"
    given = load_section(params, "needs", NeedsParams).root if _has_needs(params) else {}
    known = {part for stage in stages for part in (_name(stage), _name(stage).split("@")[0])}
    if unknown := set(given) - known:
        raise UserError(f"params.yaml: needs.{min(unknown)}: no such stage; correct its name")
    needs = {}
    for stage in stages:
        name = _name(stage)
        meta = parse_section({"meta": stage.meta or {}}, "meta", StageNeeds, f"dvc.yaml: {name}")
        asked = (meta, given.get(name.split("@")[0]), given.get(name))
        needs[name] = {**DEFAULT_NEEDS}
        for each in filter(None, asked):
            needs[name] |= each.model_dump(exclude_none=True)
    return needs


def _has_needs(params: Path) -> bool:
    """A pipeline of another project has other sections."""
    return params.exists() and "needs" in load_yaml(params)


def _longest_ways(repo: Repo, runtime: dict[str, int]) -> dict[str, int]:
    """Of each stage, by name: its own run time and that of the longest chain after it, minutes."""
    ways: dict[str, int] = {}
    # DVC's edges point from a stage to what it needs: those that follow it come first in this order.
    for stage in networkx.topological_sort(repo.index.graph):
        followers = (ways[_name(follower)] for follower in repo.index.graph.predecessors(stage))
        # What is no stage (data that are only tracked) takes no time.
        ways[_name(stage)] = runtime.get(_name(stage), 0) + max(followers, default=0)
    return ways


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


def _in_git(path: str, repo: Repo) -> bool:
    """Whether git keeps a file, or files of a folder: then it is code, not data."""
    return isinstance(repo.scm, Git) and repo.scm.is_tracked(path)


def one_line(error: BaseException) -> str:
    """DVC's message, with that of what caused it."""
    causes = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    return ": ".join(" ".join(cause.split()) for cause in causes)
