"""dvc.yaml says the truth about every stage: its command, its code, its parameters."""

import ast
import importlib
import inspect
import shlex
import textwrap
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import grimp
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from spinloop.params.loader import load_yaml
from spinloop.pipeline.dag import read_edges, read_pipeline

REPOSITORY = Path(__file__).parents[2]

# Names, types and help of options: an edit changes no result.
HELP_ONLY = {"src/spinloop/options.py"}

LOADERS = {"load_section", "parse_section", "load_job"}


def resolved_stages() -> dict[str, Any]:
    with Repo(str(REPOSITORY)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


STAGES = resolved_stages()


class StageModule(NamedTuple):
    """What a stage's module says of itself."""

    required: set[str]
    optional: set[str]
    paths: set[str]
    sections: set[str]


@cache
def module_of(name: str) -> StageModule:
    run = importlib.import_module(f"spinloop.stages.{name}").run
    options = inspect.signature(run).parameters.values()
    types = get_type_hints(run)
    return StageModule(
        required={option.name for option in options if option.default is option.empty},
        optional={option.name for option in options if option.default is not option.empty},
        paths={name for name in types if "Path" in str(types[name])},
        sections=sections_of(run),
    )


def sections_of(run: Any) -> set[str]:
    """Sections whose names stand in `run` as the second argument of a loader, or in what `run` imports."""
    trees = [parse(run)]
    for node in ast.walk(trees[0]):
        if isinstance(node, ast.ImportFrom):
            found = [getattr(importlib.import_module(str(node.module)), alias.name) for alias in node.names]
            trees += [parse(each) for each in found if inspect.isfunction(each) or inspect.isclass(each)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keys = [call.args[1] for call in calls if getattr(call.func, "id", "") in LOADERS]
    firsts = [key.values[0] if isinstance(key, ast.JoinedStr) else key for key in keys]
    return {str(first.value).rstrip(".") for first in firsts if isinstance(first, ast.Constant)}


def parse(thing: Any) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(thing)))


def command_of(stage: Any) -> str:
    return shlex.split(stage.cmd)[1]


def options_of(stage: Any) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    words = shlex.split(stage.cmd)[2:]
    for option, value in zip(words[::2], words[1::2], strict=True):
        given.setdefault(option.removeprefix("--").replace("-", "_"), []).append(value)
    return given


def read_paths(stage: Any) -> set[str]:
    return {dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)}


def code_paths(stage: Any) -> set[str]:
    return {path for path in read_paths(stage) if path.startswith("src/")}


def listed_params(stage: Any) -> set[str]:
    return {key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params}


def overlap(one: str, other: str) -> bool:
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)


@pytest.mark.parametrize("name", STAGES)
def test_the_command_is_that_of_the_stage(name):
    assert shlex.split(STAGES[name].cmd)[:2] == ["spinloop", name.split("@")[0]]


@pytest.mark.parametrize("name", STAGES)
def test_the_command_gives_the_options_that_the_stage_has(name):
    module = module_of(command_of(STAGES[name]))
    given = set(options_of(STAGES[name]))
    assert given <= module.required | module.optional
    assert module.required <= given


@pytest.mark.parametrize("name", STAGES)
def test_paths_in_the_command_are_inputs_or_outputs_and_all_of_them(name):
    stage = STAGES[name]
    declared = read_paths(stage) - code_paths(stage) | {out.def_path for out in stage.outs}
    paths = module_of(command_of(stage)).paths
    used = {value for key, values in options_of(stage).items() if key in paths for value in values}
    strangers = {path for path in used if not any(overlap(path, other) for other in declared)}
    assert not strangers, f"neither deps nor outs: {strangers}"
    unused = {path for path in declared if not any(overlap(path, other) for other in used)}
    assert not unused, f"not in the command: {unused}"


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("spinloop", cache_dir=None)


@pytest.mark.parametrize("name", STAGES)
def test_deps_cover_imports(name, imports):
    stage = STAGES[name]
    reached = reached_files(stage, imports)
    missing = {path for path in reached if not any(overlap(path, dep) for dep in code_paths(stage))}
    assert not missing, f"{name} reaches these, and dvc.yaml does not say so: {sorted(missing)}"


@pytest.mark.parametrize("name", STAGES)
def test_no_code_dependency_is_idle(name, imports):
    stage = STAGES[name]
    reached = reached_files(stage, imports)
    modules = {dep for dep in code_paths(stage) if not dep.startswith("src/spinloop/assets/")}
    idle = {dep for dep in modules if not any(overlap(path, dep) for path in reached)}
    assert not idle, f"{name} does not reach these: {sorted(idle)}"


def reached_files(stage: Any, imports: grimp.ImportGraph) -> set[str]:
    """Files of the modules that a stage imports, directly or not, without packages that only hold others."""
    start = f"spinloop.stages.{command_of(stage)}"
    files = {file_of(name) for name in {start} | imports.find_upstream_modules(start)}
    return {path for path in files if path not in HELP_ONLY and not is_empty(path)}


def file_of(module: str) -> str:
    path = "src/" + module.replace(".", "/")
    return f"{path}/__init__.py" if (REPOSITORY / path).is_dir() else f"{path}.py"


@cache
def is_empty(path: str) -> bool:
    """Whether a module holds nothing but a docstring."""
    return all(isinstance(node, ast.Expr) for node in ast.parse((REPOSITORY / path).read_text()).body)


@pytest.mark.parametrize("name", STAGES)
def test_params_cover_reads_and_no_more(name):
    sections = module_of(command_of(STAGES[name])).sections | {"runtime"}
    listed = listed_params(STAGES[name])
    unlisted = {section for section in sections if not any(within(key, section) for key in listed)}
    assert not unlisted, f"read, and not in params: {unlisted}"
    unread = {key for key in listed if not any(within(key, section) for section in sections)}
    assert not unread, f"in params, and not read: {unread}"


def within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def test_every_section_of_the_parameters_is_read():
    sections = set(load_yaml(REPOSITORY / "params.yaml")) - {"needs"}  # read by `dag` alone
    read = {key.split(".")[0] for stage in STAGES.values() for key in listed_params(stage)}
    assert sections == read


def test_snakemake_has_the_edges_of_dvc(project, run, snakemake_edges):
    rules = {stage.rule: stage.name for stage in read_pipeline(project)}
    edges = snakemake_edges(run("snakemake", "--dag", "--forceall", "--quiet", "all", cwd=project).stdout)
    assert {(rules[made], rules[reader]) for made, reader in edges if reader != "all"} == read_edges(project)
