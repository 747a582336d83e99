"""A job of Snakemake: what ran is what is recorded, and what was finished is not made again."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from spinloop.pipeline.dag import read_state
from spinloop.pipeline.record import lines_of, record_all

UP_TO_DATE = "Data and pipelines are up to date."

# Ends like a job that is killed at some moment.
KILLED = """
import os
from spinloop.pipeline import job
job.{step} = lambda *_: os._exit(9)
job.run_stage("each@b")
"""


@pytest.fixture
def edited(versioned: Path) -> Path:
    """A project in which `each@b` and `last` are stale."""
    path = versioned / "params.yaml"
    path.write_text(path.read_text().replace("b: {value: 4}", "b: {value: 40}"))
    return versioned


def job(run, root: Path, stage: str) -> subprocess.CompletedProcess[str]:
    return run("python", "-m", "spinloop.pipeline.job", stage, cwd=root, check=False)


@pytest.mark.parametrize(
    "step", ["_keep", "record_finished"], ids=["before DVC kept it", "before its record"]
)
def test_a_stage_that_ended_before_the_kill_is_recorded_and_not_made_again(step, edited, run):
    assert run("python", "-c", KILLED.format(step=step), cwd=edited, check=False).returncode == 9
    assert read_state(edited)[1] == {"last"}
    run("snakemake", cwd=edited)
    assert (edited / "ran.log").read_text().split() == ["each@b", "last"]
    assert UP_TO_DATE in run("dvc", "status", cwd=edited).stdout


def test_a_job_does_not_wait_for_dvc_and_its_record_waits(edited, run):
    before = (edited / "dvc.lock").read_text()
    with Repo(str(edited)).lock:
        assert job(run, edited, "each@b").returncode == 0
        assert (edited / "dvc.lock").read_text() == before
        assert "didn't change" in job(run, edited, "each@b").stdout
    record_all(edited)
    assert (edited / "dvc.lock").read_text() != before
    assert list((edited / ".dvc/tmp/spinloop").glob("*.json")) == []
    assert read_state(edited)[1] == {"last"}


def test_a_record_whose_outputs_changed_since_is_dropped(edited, run, capfd):
    before = (edited / "dvc.lock").read_text()
    with Repo(str(edited)).lock:
        job(run, edited, "each@b")
    (edited / "b.txt").write_text("tampered")
    record_all(edited)
    assert "each@b: not recorded, for its outputs were changed since" in capfd.readouterr().err
    assert (edited / "dvc.lock").read_text() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sed -i s/40/41/ params.yaml", "params.yaml: changed while it ran"),
        ("echo more >> second.txt", "second.txt: changed while it ran"),
    ],
)
def test_a_stage_whose_inputs_change_while_it_runs_is_not_recorded(edited, run, change, said):
    path = edited / "dvc.yaml"
    path.write_text(path.read_text().replace("-- ${key}.txt\n", f"-- ${{key}}.txt; {change}\n"))
    before = (edited / "dvc.lock").read_text()
    done = job(run, edited, "each@b")
    assert done.returncode == 1
    assert said in done.stdout
    assert (edited / "dvc.lock").read_text() == before
    assert "each@b" in read_state(edited)[1]


def test_an_edit_of_parameters_after_the_command_read_them_does_not_undo_its_work(edited, run, monkeypatch):
    path = edited / "dvc.yaml"
    later = "sed -i s/40/41/ params.yaml; touch -d '+2 minutes' params.yaml"
    path.write_text(path.read_text().replace("-- ${key}.txt\n", f"-- ${{key}}.txt; {later}\n"))
    assert job(run, edited, "each@b").returncode == 0
    assert "each@b" in read_state(edited)[1]
    edit = (edited / "params.yaml").read_text().replace("value: 41", "value: 40")
    (edited / "params.yaml").write_text(edit)
    assert "each@b" not in read_state(edited)[1]


# A command of ours during which somebody edits params.yaml.
OWN_COMMAND = """
import pathlib, sys
from spinloop import cli, files
write = files.write_json
def edit_then_write(path, value):
    params = pathlib.Path("params.yaml")
    params.write_text(params.read_text().replace(old, new))
    write(path, value)
files.write_json = edit_then_write
*sys.argv, old, new = sys.argv
cli.main()
"""


@pytest.fixture
def own_command(edited) -> Path:
    """A project whose `last` is a command of ours, during which the first value becomes the second."""
    (edited / "spinloop").write_text(OWN_COMMAND)
    path = edited / "dvc.yaml"
    before, _ = path.read_text().split("  last:")
    command = "python ./spinloop list_training --crops a.txt --annotations b.txt --out last.json"
    path.write_text(
        f"{before}  last:\n    cmd: >-\n      {command} 'value: 5' 'value: 6'\n    deps: [a.txt, b.txt]\n"
        "    params: [last, runtime]\n    metrics: [last.json: {cache: false}]\n"
    )
    with (edited / "params.yaml").open("a") as file:
        file.write("runtime: {threads: 1}\nother: {value: 7}\n")
    return edited


def test_what_ran_is_what_a_job_records_whoever_edits_the_parameters(own_command, run):
    assert job(run, own_command, "each@b").returncode == 0
    done = job(run, own_command, "last")
    assert done.returncode == 0, done.stdout
    recorded = lines_of((own_command / "dvc.lock").read_text(), "last")
    assert re.search(r"params\.yaml:\s+last:\s+value: 5\n", recorded), recorded
    assert read_state(own_command)[1] == {"last"}
    path = own_command / "params.yaml"
    path.write_text(path.read_text().replace("value: 6", "value: 5"))
    assert read_state(own_command)[1] == set()


def test_what_dvc_would_record_wrongly_is_refused_with_the_cure(own_command, run):
    done = run("dvc", "repro", cwd=own_command, check=False)
    assert done.returncode != 0
    assert "params.yaml: last: edited while last ran; its outputs are whole" in done.stdout
    assert "Traceback" not in done.stdout
    assert (own_command / "last.json").exists()
    path = own_command / "params.yaml"
    path.write_text(path.read_text().replace("value: 6", "value: 5"))
    run("dvc", "commit", "-f", "last", cwd=own_command)
    assert UP_TO_DATE in run("dvc", "status", cwd=own_command).stdout
    assert (own_command / "ran.log").read_text().split() == ["each@b"]


def test_an_edit_of_what_the_stage_does_not_read_is_no_matter_to_dvc(own_command, run):
    path = own_command / "dvc.yaml"
    path.write_text(path.read_text().replace("'value: 5' 'value: 6'", "'value: 7' 'value: 8'"))
    run("dvc", "repro", cwd=own_command)
    assert "value: 8" in (own_command / "params.yaml").read_text()
    assert UP_TO_DATE in run("dvc", "status", cwd=own_command).stdout


def test_a_command_whose_parameters_are_not_those_that_its_job_records_does_not_start(
    own_command, run, monkeypatch
):
    monkeypatch.setitem(run.environment, "SPINLOOP_PARAMETERS", "0123456789abcdef")
    monkeypatch.setitem(run.environment, "DVC_STAGE", "last")
    options = ("--crops", "a.txt", "--annotations", "b.txt", "--out", "new.json")
    done = run("spinloop", "list_training", *options, cwd=own_command, check=False)
    assert done.returncode == 2
    assert "params.yaml: edited while last started; run the same command again" in done.stdout
    assert not (own_command / "new.json").exists()


def test_what_was_made_before_is_fetched(edited, run):
    """Parameters that are set back: DVC keeps what the command made of them."""
    job(run, edited, "each@b")
    path = edited / "params.yaml"
    path.write_text(path.read_text().replace("b: {value: 40}", "b: {value: 4}"))
    assert "cached" in job(run, edited, "each@b").stdout
    assert (edited / "ran.log").read_text().split() == ["each@b"]
    assert read_state(edited)[1] == set()


def test_dvc_and_a_job_do_not_work_on_the_same_paths(edited, run):
    """`dvc repro` refuses what a job makes, with its number; a job waits for what `dvc repro` makes."""
    file = edited / "stage.py"
    wait = 'print("works", flush=True)\nwhile not pathlib.Path("go").exists():\n    time.sleep(0.1)\n'
    file.write_text(file.read_text().replace("name, value,", f"{wait}name, value,", 1))

    @contextmanager
    def started(*command: str, until: str) -> Iterator[subprocess.Popen[str]]:
        environment = run.environment_in(edited)
        kinds = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, cwd=edited, env=environment, **kinds) as process:
            while until not in (line := process.stdout.readline()):
                assert line, f"ended without {until!r}"
            yield process

    def let_it_end(process: subprocess.Popen[str]) -> str:
        (edited / "go").touch()
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 0, output
        return output

    a_job = ("python", "-m", "spinloop.pipeline.job", "each@b")
    with started(*a_job, until="works") as working:
        refused = run("dvc", "repro", "each@b", cwd=edited, check=False)
        assert refused.returncode
        assert f"(PID {working.pid}): " in refused.stdout
        let_it_end(working)
    (edited / "go").unlink()
    (edited / "params.yaml").write_text((edited / "params.yaml").read_text().replace("40", "41"))
    with started("dvc", "repro", "each@b", until="works") as working:
        with started(*a_job, until="each@b: waits: ") as waiting:
            let_it_end(working)
            let_it_end(waiting)
    assert (edited / "ran.log").read_text().split() == ["each@b", "each@b"]


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_killed_job_does_not_block_though_its_number_is_anothers_now(edited, run, mode):
    """As on the next machine of a cluster, or where nobody waits for killed processes."""
    out = str(edited / "b.txt")
    killed = {"pid": os.getpid(), "cmd": "/elsewhere/spinloop/pipeline/job.py each@b"}
    users = {"write": {}, "read": {}, mode: {out: killed if mode == "write" else [killed]}}
    (edited / ".dvc/tmp/rwlock").write_text(json.dumps(users))
    done = job(run, edited, "each@b")
    assert done.returncode == 0
    assert "waits" not in done.stdout
    assert (edited / "ran.log").read_text().split() == ["each@b"]
    assert str(os.getpid()) not in (edited / ".dvc/tmp/rwlock").read_text()
