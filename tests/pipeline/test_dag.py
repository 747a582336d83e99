"""dvc.yaml says the truth about every stage: its command, its code, its parameters."""

import ast
import importlib
import inspect
import shlex
import textwrap
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from ruamel.yaml import YAML

from spinloop.params.loader import load_yaml, overlay
from spinloop.pipeline.dag import read_edges, read_pipeline
from spinloop.pipeline.needs import needs_of

REPOSITORY = Path(__file__).parents[2]

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


def listed_params(stage: Any, path: str = "params.yaml") -> set[str]:
    read = [dep for dep in stage.deps if isinstance(dep, ParamsDependency) and dep.def_path == path]
    return {key for dep in read for key in dep.params}


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
    declared = read_paths(stage) | {out.def_path for out in stage.outs}
    if name.startswith("train@"):
        declared |= read_through_digests()
    paths = module_of(command_of(stage)).paths
    used = {value for key, values in options_of(stage).items() if key in paths for value in values}
    strangers = {path for path in used if not any(overlap(path, other) for other in declared)}
    assert not strangers, f"neither deps nor outs: {strangers}"
    unused = {path for path in declared if not any(overlap(path, other) for other in used)}
    assert not unused, f"not in the command: {unused}"


def stages_of(command: str) -> dict[str, Any]:
    """By what stands behind `@`."""
    return {name.partition("@")[2]: stage for name, stage in STAGES.items() if command_of(stage) == command}


def read_through_digests() -> set[str]:
    """What training reads and follows through the digests that `list_training` makes of it."""
    return {path for stage in stages_of("list_training").values() for path in read_paths(stage)}


def test_training_follows_every_file_of_the_splits_that_are_fitted():
    splits = stages_of("merge").keys()
    assert stages_of("list_training").keys() == stages_of("collect_fits").keys() == splits
    folders = {"data/crops": "h5", "data/annotations": "parquet"}
    assert read_through_digests() == {
        f"{folder}/{split}.{suffix}" for folder, suffix in folders.items() for split in splits
    }
    assert read_paths(STAGES["train@loop"]) >= {"data/training", "data/keypoints", "data/fits/initial"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_code_of_its_own_command(name):
    lists_code = name == "list_code"
    assert listed_params(STAGES[name], "data/code.json") == (
        set() if lists_code else {command_of(STAGES[name])}
    )
    sources = {path for path in read_paths(STAGES[name]) if path.startswith("src")}
    assert sources == ({"src/spinloop"} if lists_code else set())


@pytest.mark.parametrize("name", STAGES)
def test_params_cover_reads_and_no_more(name):
    sections = module_of(command_of(STAGES[name])).sections | ({"runtime"} if name != "list_code" else set())
    listed = listed_params(STAGES[name])
    unlisted = {section for section in sections if not any(within(key, section) for key in listed)}
    assert not unlisted, f"read, and not in params: {unlisted}"
    unread = {key for key in listed if not any(within(key, section) for section in sections)}
    assert not unread, f"in params, and not read: {unread}"


def within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def test_every_section_of_the_parameters_is_read():
    # `needs` is read by `dag` alone, `fit` by a command that is no stage.
    sections = set(load_yaml(REPOSITORY / "params.yaml")) - {"needs", "fit"}
    read = {key.split(".")[0] for stage in STAGES.values() for key in listed_params(stage)}
    assert sections == read


@pytest.mark.parametrize("preset", [None, *sorted((REPOSITORY / "params").glob("*.yaml"))], ids=str)
def test_what_a_user_asks_for_all_stages_of_a_name_no_value_of_ours_outranks(preset, tmp_path):
    values = load_yaml(REPOSITORY / "params.yaml")
    if preset is not None:
        overlay(values, load_yaml(preset), preset)
    asked = {"threads": 3, "mem_mb": 7777, "runtime": 4321, "gpu": 2}
    commands = {command_of(stage) for stage in STAGES.values()}
    overlay(values, {"needs": dict.fromkeys(commands, asked)}, tmp_path)
    YAML(typ="safe").dump({"needs": values["needs"]}, tmp_path / "params.yaml")
    metas = {name: stage.meta or {} for name, stage in STAGES.items()}
    needs = needs_of(metas, tmp_path / "params.yaml")
    assert {name: need for name, need in needs.items() if need != asked} == {}


def test_snakemake_has_the_edges_of_dvc(project, run, snakemake_edges):
    rules = {stage.rule: stage.name for stage in read_pipeline(project)}
    edges = snakemake_edges(run("snakemake", "--dag", "--forceall", "--quiet", "all", cwd=project).stdout)
    assert {(rules[made], rules[reader]) for made, reader in edges if reader != "all"} == read_edges(project)
