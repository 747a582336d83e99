"""The whole pipeline at tiny scale: by DVC undisturbed, by Snakemake with a kill while training."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from spinloop.params.loader import load_yaml
from spinloop.pipeline.dag import read_pipeline

pytestmark = pytest.mark.slow

PATIENCE_S = 1500
LOG = "log.txt"
TRAINING_STATE = ".state/train"
UP_TO_DATE = "Data and pipelines are up to date."
NOTHING_TO_DO = "Nothing to be done"


class Worlds(NamedTuple):
    by_dvc: Path
    by_snakemake: Path
    unfinished: list[str]
    finished_before: set[str]
    """Rules that were done when the kill came."""
    second_run: str


@pytest.fixture(scope="module")
def worlds(project_factory, run, repository) -> Worlds:
    """Two fresh projects run to the end, side by side."""
    roots = [project_factory() for _ in range(2)]
    for root in roots:
        shutil.copy(repository / "tests/pipeline/params_toy.yaml", root / "params.yaml")
        for made in ("dvc.lock", *outputs_in_git(root)):
            (root / made).unlink(missing_ok=True)
    by_dvc, by_snakemake = roots
    with started(run, by_dvc, "dvc", "repro") as undisturbed:
        with started(run, by_snakemake, "snakemake") as killed:
            wait_for_a_checkpoint(killed, by_snakemake)
            kill_all(killed)
        unfinished = [path.name for path in (by_snakemake / TRAINING_STATE).iterdir()]
        first = (by_snakemake / LOG).read_text()
        second = run("snakemake", cwd=by_snakemake)
        status = undisturbed.wait(timeout=PATIENCE_S)
    assert status == 0, (by_dvc / LOG).read_text()[-3000:]
    finished = set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", first))
    return Worlds(by_dvc, by_snakemake, unfinished, finished, second.stdout)


def started(run, root: Path, *command: str) -> subprocess.Popen[bytes]:
    with (root / LOG).open("w") as log:
        return subprocess.Popen(
            command, cwd=root, env=run.environment_in(root), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def wait_for_a_checkpoint(process: subprocess.Popen[bytes], root: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any((root / TRAINING_STATE).rglob("checkpoint.pt")):
        assert process.poll() is None, (root / LOG).read_text()[-3000:]
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """What a power cut does: the process and all that it started are gone at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.suspend()
    for member in family:
        member.kill()
    psutil.wait_procs(family[:-1])
    process.wait()


def outputs_in_git(root: Path) -> Iterator[str]:
    for stage in read_pipeline(root):
        yield from (path for path in stage.files if path.startswith("reports/"))


def outputs(root: Path) -> dict[str, bytes]:
    found = {}
    for stage in read_pipeline(root):
        for path in (root / name for name in stage.files + stage.folders):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and file.name != ".snakemake_timestamp":
                    found[str(file.relative_to(root))] = file.read_bytes()
    return found


def test_both_runners_leave_the_same_bytes_even_after_a_kill(worlds):
    one, other = outputs(worlds.by_dvc), outputs(worlds.by_snakemake)
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []


def test_both_runners_record_the_same(worlds):
    assert load_yaml(worlds.by_dvc / "dvc.lock") == load_yaml(worlds.by_snakemake / "dvc.lock")


def test_the_kill_came_in_the_middle_of_training_and_nothing_finished_ran_again(worlds):
    assert worlds.unfinished
    assert "Rule: report" in worlds.second_run
    assert "Rule: train" in worlds.second_run
    assert "fit_initial_coco_train_mean_0" in worlds.finished_before
    again = set(re.findall(r"\(Rule: (\w+)\)", worlds.second_run))
    assert again.isdisjoint(worlds.finished_before)


def test_no_state_is_left_when_all_is_done(worlds):
    assert [path for path in (worlds.by_snakemake / ".state").rglob("*") if path.is_file()] == []


def test_each_runner_finds_the_work_of_the_other_up_to_date(worlds, run):
    assert UP_TO_DATE in run("dvc", "status", cwd=worlds.by_snakemake).stdout
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=worlds.by_dvc).stdout
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=worlds.by_snakemake).stdout


def test_metrics_are_shown_by_dvc(worlds, run):
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=worlds.by_dvc).stdout)
    files = next(iter(shown.values()))["data"]
    for setting in ("static", "loop"):
        assert files[f"reports/metrics/{setting}_pw3d_test.json"]["data"]["pa_mpjpe_mm"] > 0


def test_plots_are_drawn_by_dvc(worlds, run):
    done = run("dvc", "plots", "show", "--out", "plots", cwd=worlds.by_dvc)
    assert "plots/index.html" in done.stdout
    assert "rror" not in done.stdout.replace("error of the dictionary", "")


def test_toy_parameters_have_the_shape_of_the_real_ones(repository):
    real, toy = (
        load_yaml(repository / "params.yaml"),
        load_yaml(repository / "tests/pipeline/params_toy.yaml"),
    )
    # Two of the test splits, one of each kind of protocol, are enough to run through.
    splits, chosen = real["evaluate"].pop("splits"), toy["evaluate"].pop("splits")
    assert chosen.items() <= splits.items()
    assert shape(real) == shape(toy)


def shape(value: object) -> object:
    """Keys, without the values under them."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None
