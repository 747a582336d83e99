"""`spinloop status`: fresh, stale, running; sizes; metrics."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def status(versioned, run):
    """What the command says of each stage, and all it says."""
    (versioned / "params.yaml").write_text(
        (versioned / "params.yaml").read_text() + "runtime: {threads: 1}\n"
    )

    def call() -> tuple[dict[str, str], str]:
        text = run("spinloop", "status", cwd=versioned).stdout
        words = [line.split() for line in text.splitlines()]
        names = ("first", "second", "each@a", "each@b", "last")
        return {line[0]: line[1] for line in words if line and line[0] in names}, text

    return call


def test_fresh_stale_and_running_stages_are_told_apart(versioned, status):
    states, text = status()
    assert set(states.values()) == {"fresh"}
    assert "5 stages: 5 fresh, 0 stale, 0 running" in text
    path = versioned / "params.yaml"
    path.write_text(path.read_text().replace("b: {value: 4}", "b: {value: 40}"))
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc"], stdin=subprocess.PIPE) as process:
        held = {"write": {str(versioned / "b.txt"): {"pid": process.pid, "cmd": "dvc repro"}}, "read": {}}
        (versioned / ".dvc/tmp/rwlock").write_text(json.dumps(held))
        states, _ = status()
    assert states == {
        "first": "fresh",
        "second": "fresh",
        "each@a": "fresh",
        "each@b": "running",
        "last": "stale",
    }


def test_in_a_pipe_nothing_is_cut(versioned, status, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    name, words = "a_stage_whose_name_is_long_indeed", "what it does said in many words " * 9
    with (versioned / "dvc.yaml").open("a") as file:
        file.write(f"  {name}:\n    cmd: 'true'\n    desc: {words.strip()}\n")
    _, text = status()
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    assert words.strip() in line
    assert len(line) < 500, "no line is filled up to the width"


def test_sizes_and_metrics_are_shown(versioned, status):
    (versioned / "reports/metrics").mkdir(parents=True)
    (versioned / "reports/metrics/loop.json").write_text('{"mpjpe_mm": 98.76, "mpjpe_mm_low": 90.0, "n": 3}')
    _, text = status()
    size = (versioned / "second.txt").stat().st_size
    line = next(line for line in text.splitlines() if line.startswith("second"))
    assert line.split()[2:4] == [str(size), "B"]
    assert "mpjpe_mm 98.8" in text
    assert "90.0" not in text
