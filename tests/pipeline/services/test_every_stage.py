"""Every kind of stage as dvc.yaml runs it: killed, or out of disk, it leaves nothing that looks done."""

import os
import resource
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from spinloop.params.loader import load_yaml
from spinloop.pipeline.dag import read_pipeline

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
KINDS = sorted(load_yaml(REPOSITORY / "dvc.yaml")["stages"])
# Enough for the start of any output, for none as a whole.
ROOM_BYTES = 64


@pytest.fixture(scope="module")
def finished(project_factory, run) -> Path:
    """This project at tiny scale, run to the end."""
    root = project_factory()
    shutil.copy(REPOSITORY / "tests/pipeline/params_toy.yaml", root / "params.yaml")
    run("snakemake", cwd=root)
    return root


@pytest.fixture(params=KINDS)
def stage(request, finished):
    """One stage of a kind: its command, and its outputs with their bytes."""
    rule = next(rule for rule in read_pipeline(finished) if rule.name.split("@")[0] == request.param)
    command = load_yaml(finished / "dvc.lock")["stages"][rule.name]["cmd"]
    return command, contents(finished, rule.files + rule.folders), rule.files + rule.folders


def contents(root: Path, outputs: tuple[str, ...]) -> dict[str, bytes]:
    """Bytes of all files of some outputs, by path."""
    tops = [root / path for path in outputs]
    files = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in files
        if path.name != ".snakemake_timestamp"
    }


def remove(root: Path, outputs: tuple[str, ...]) -> None:
    """What DVC does before it runs a stage."""
    for path in (root / name for name in outputs):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def finish(run, root: Path, command: str, whole: dict[str, bytes], outputs: tuple[str, ...]) -> None:
    """The same command once more: byte for byte what an undisturbed run left."""
    run("bash", "-c", command, cwd=root)
    after = contents(root, outputs)
    assert after.keys() == whole.keys()
    assert [name for name in whole if after[name] != whole[name]] == []


def check_nothing_is_half_done(root: Path, whole: dict[str, bytes], outputs: tuple[str, ...]) -> None:
    left = contents(root, tuple(path for path in outputs if Path(path).suffix))
    assert [name for name in left if left[name] != whole[name]] == [], "half an output lies in its place"


def test_killed_in_its_work_the_same_command_completes(stage, finished, run):
    command, whole, outputs = stage
    remove(finished, outputs)
    start = time.monotonic()
    finish(run, finished, command, whole, outputs)
    usual_s = time.monotonic() - start
    remove(finished, outputs)
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=finished, env=run.environment_in(finished), start_new_session=True
    )
    try:
        process.wait(0.8 * usual_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    check_nothing_is_half_done(finished, whole, outputs)
    finish(run, finished, command, whole, outputs)


def test_without_room_on_the_disk_it_fails_and_room_fixes_it(stage, finished, run):
    """A limit on the size of files stands for the full disk: the write fails in the middle as there."""
    command, whole, outputs = stage
    remove(finished, outputs)
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))
    failed = subprocess.run(
        ["bash", "-c", command],
        cwd=finished,
        env=run.environment_in(finished),
        preexec_fn=full,
        capture_output=True,
    )
    assert failed.returncode != 0
    check_nothing_is_half_done(finished, whole, outputs)
    finish(run, finished, command, whole, outputs)
