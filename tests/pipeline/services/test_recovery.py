"""Faults in the middle of a stage: when the cause is gone the same command completes, to the same bytes."""

import os
import resource
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

OUTPUTS = ("raw/part.txt", "second.txt", "a.txt", "b.txt", "last.json", "dvc.lock")
UP_TO_DATE = "Data and pipelines are up to date."
FINISHED_BEFORE = ("first", "second", "each@a")

# A stage in the middle of its work: half of an output is written, and nothing happens until `hold` is gone.
HOLD = """
half = pathlib.Path(paths[split + 1])
if name == "each@b" and pathlib.Path("hold").exists():
    half.write_text("half of")
    pathlib.Path("holding").write_text(str(os.getpid()))
    while pathlib.Path("hold").exists():
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def undisturbed(committed: Path, tmp_path_factory, run) -> dict[str, bytes]:
    """What a run with an edited parameter makes when nothing happens."""
    twin = Path(shutil.copytree(committed, tmp_path_factory.mktemp("twin") / "project"))
    hold_stage(twin)
    run("snakemake", cwd=twin)
    return outputs(twin)


@pytest.fixture
def project(versioned: Path) -> Path:
    hold_stage(versioned)
    (versioned / "hold").touch()
    return versioned


def hold_stage(root: Path) -> None:
    """Make `each@b` stale, and able to stop in the middle."""
    script = root / "stage.py"
    before, after = script.read_text().replace("import sys,", "import os, sys,").split("for out in map")
    script.write_text(f"{before}{HOLD}for out in map{after}")
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("b: {value: 4}", "b: {value: 40}"))


def outputs(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in OUTPUTS}


def start(run, root: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a run and wait until the stage is in the middle of its work."""
    process = subprocess.Popen(command, cwd=root, env=run.environment, stdout=subprocess.DEVNULL)
    while not (root / "holding").exists() or not (root / "holding").read_text():
        assert process.poll() is None, "ended before the stage was in the middle"
        time.sleep(0.02)
    return process


def kill(process: subprocess.Popen[bytes], root: Path, victim: str) -> None:
    """SIGKILL to the stage, to the DVC that runs it with all below, to Snakemake alone, or to all at once."""
    job = psutil.Process(int((root / "holding").read_text()))
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    dvc = [one for one in everyone if "spinloop.pipeline.job" in one.cmdline()]
    for one in {"job": [job], "dvc": [*dvc, job], "snakemake": everyone[:1], "all": everyone}[victim]:
        one.kill()
    if victim != "snakemake":
        (root / "hold").unlink()
    process.wait()


def check(root: Path, undisturbed: dict[str, bytes], run) -> None:
    assert outputs(root) == undisturbed
    assert UP_TO_DATE in run("dvc", "status", cwd=root).stdout
    ran = (root / "ran.log").read_text().split()
    assert not set(ran) & set(FINISHED_BEFORE), f"ran again: {ran}"


@pytest.mark.parametrize(
    ("runner", "victim"),
    [("snakemake", "job"), ("snakemake", "dvc"), ("snakemake", "all"), ("dvc repro", "all")],
)
def test_after_a_kill_the_same_command_completes(runner, victim, project, undisturbed, run):
    kill(start(run, project, *runner.split()), project, victim)
    run(*runner.split(), cwd=project)
    check(project, undisturbed, run)


def test_a_job_that_outlives_snakemake_is_waited_for_and_its_work_is_kept(project, undisturbed, run):
    kill(start(run, project, "snakemake"), project, "snakemake")
    again = subprocess.Popen(["snakemake"], cwd=project, env=run.environment, stdout=subprocess.DEVNULL)
    time.sleep(2)
    (project / "hold").unlink()
    assert again.wait() == 0
    check(project, undisturbed, run)
    assert (project / "ran.log").read_text().split() == ["each@b", "last"]


@pytest.mark.parametrize("runner", ["snakemake", "dvc repro"])
def test_a_disk_without_room_for_an_output_fails_and_room_fixes_it(runner, project, undisturbed, run):
    """A limit on the size of a file stands for the full disk: the write fails in the middle as there."""
    (project / "hold").unlink()
    script = project / "stage.py"
    whole = script.read_text()
    limit = "import resource\nif pathlib.Path('full').exists() and name == 'each@b':\n"
    limit += "    resource.setrlimit(resource.RLIMIT_FSIZE, (3, 3))\n"
    script.write_text(whole.replace(HOLD, limit + HOLD))
    (project / "full").touch()
    failed = run(*runner.split(), cwd=project, check=False)
    assert failed.returncode != 0, failed.stdout
    assert "File too large" in failed.stdout
    (project / "full").unlink()
    script.write_text(whole)
    run(*runner.split(), cwd=project)
    check(project, undisturbed, run)


def test_a_record_that_has_no_room_leaves_the_old_one(project, run):
    """The file system refuses the new dvc.lock; the one that was there stays as it was, for all stages."""
    (project / "hold").unlink()
    before = (project / "dvc.lock").read_text()
    size = len(before) // 2
    command = ["python", "-m", "spinloop.pipeline.job", "each@b"]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    done = subprocess.run(command, cwd=project, env=run.environment, preexec_fn=limit, capture_output=True)
    assert done.returncode != 0
    assert (project / "dvc.lock").read_text() == before


TAKEN = '{"write": {"ROOT/b.txt": {"pid": PID, "cmd": "dvc repro"}}, "read": {}}'


@pytest.mark.parametrize("left", ["", TAKEN], ids=["empty", "of another process"])
def test_a_stale_lock_does_not_stop_snakemake(left, project, undisturbed, run):
    (project / "hold").unlink()
    stranger = str(os.getpid())
    (project / ".dvc/tmp/rwlock").write_text(left.replace("ROOT", str(project)).replace("PID", stranger))
    run("snakemake", cwd=project)
    check(project, undisturbed, run)
