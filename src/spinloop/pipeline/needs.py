"""What a stage needs of the machine, and which of the stages that could start goes first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx

from spinloop.errors import UserError
from spinloop.params.loader import NeedsParams, StageNeeds, load_yaml, parse_section

DEFAULT_NEEDS = {"threads": 1, "mem_mb": 1000, "runtime": 60}


def needs_of(meta_of: Mapping[str, Mapping[str, Any]], params: Path) -> dict[str, dict[str, int]]:
    """Cores, memory, minutes and GPUs of each stage.

    Args:
        meta_of: name of the stage → its `meta` in `dvc.yaml`.
        params: the parameter file, whose section `needs` takes the place of `meta`.

    Raises:
        UserError: a key or a value is wrong, or `needs` names no stage.
    """
    values = {"needs": {}, **(load_yaml(params) if params.exists() else {})}
    given = parse_section(values, "needs", NeedsParams, params).root
    known = {part for name in meta_of for part in (name, name.split("@")[0])}
    if unknown := set(given) - known:
        raise UserError(f"params.yaml: needs.{min(unknown)}: no such stage; correct its name")
    needs = {}
    for name, values in meta_of.items():
        meta = parse_section({"meta": values}, "meta", StageNeeds, f"dvc.yaml: {name}")
        needs[name] = {**DEFAULT_NEEDS}
        for asked in filter(None, (meta, given.get(name.split("@")[0]), given.get(name))):
            needs[name] |= asked.model_dump(exclude_none=True)
    return needs


def longest_chains(graph: networkx.DiGraph, runtime: Mapping[str, int]) -> dict[str, int]:
    """Of each stage, by name: its own run time and that of the longest chain after it, minutes.

    Args:
        graph: the stages' names, with edges to those that follow; what has no run time takes none.
        runtime: minutes of each stage.
    """
    minutes: dict[str, int] = {}
    for name in reversed(list(networkx.topological_sort(graph))):
        followers = (minutes[follower] for follower in graph.successors(name))
        minutes[name] = runtime.get(name, 0) + max(followers, default=0)
    return minutes
