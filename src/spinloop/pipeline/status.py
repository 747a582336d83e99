"""What `spinloop status` shows: each stage's state and size, and the last metrics."""

from pathlib import Path

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from spinloop.files import read_json
from spinloop.locks import stages_running
from spinloop.pipeline.configuration import check_project
from spinloop.pipeline.dag import StageRule, read_state

_COLORS = {"fresh": "green", "stale": "yellow", "running": "cyan"}
_UNITS = ("_mm", "_percent")
_METRICS = Path("reports/metrics")


def describe_project(root: Path) -> Group:
    """Tables of the stages and of the metrics of a project; nothing is changed.

    Args:
        root: the folder of `dvc.yaml`.
    """
    check_project(root)
    rules, stale = read_state(root)
    running = stages_running(root, {rule.name: rule.files + rule.folders for rule in rules})
    states = {rule.name: "running" if rule.name in running else _state(rule, stale) for rule in rules}
    counts = [f"{list(states.values()).count(state)} {state}" for state in _COLORS]
    total = _readable(sum(_size(rule, root) for rule in rules))
    shown = [_stage_table(rules, states, root), f"{len(rules)} stages: {', '.join(counts)}; {total}"]
    if metrics := sorted((root / _METRICS).glob("*.json")):
        shown.append(_metric_table(metrics))
    return Group(*shown)


def _state(rule: StageRule, stale: set[str]) -> str:
    return "stale" if rule.name in stale else "fresh"


def _stage_table(rules: list[StageRule], states: dict[str, str], root: Path) -> Table:
    stage = Column("stage", no_wrap=True)  # people copy it; on a narrow terminal the others give way
    table = Table(stage, "state", Column("size", justify="right"), "does", box=None, pad_edge=False)
    for rule in rules:
        state = states[rule.name]
        size = _readable(_size(rule, root))
        table.add_row(rule.name, Text(state, _COLORS[state]), size, rule.description)
    return table


def _metric_table(paths: list[Path]) -> Table:
    """The means of each metrics file; bounds and medians are left to `dvc metrics show`."""
    table = Table("metrics", Column("", overflow="fold"), box=None, pad_edge=False)
    for path in paths:
        values = read_json(path)
        numbers = {
            key: value for key, value in values.items() if key.endswith(_UNITS) and "median" not in key
        }
        table.add_row(path.stem, ", ".join(f"{key} {value:.1f}" for key, value in numbers.items()))
    return table


def _size(rule: StageRule, root: Path) -> int:
    """Bytes of all that a stage made."""
    tops = [root / path for path in rule.files + rule.folders]
    files = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    return sum(path.stat().st_size for path in files)


def _readable(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
