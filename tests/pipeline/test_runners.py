"""Snakemake and DVC on a small pipeline: the same work, the same staleness, no lost records."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spinloop.errors import UserError
from spinloop.pipeline.dag import read_edges, read_pipeline, read_state

UP_TO_DATE = "Data and pipelines are up to date."
NOTHING_TO_DO = "Nothing to be done"

EDITS = {
    "a parameter": ("params.yaml", "b: {value: 4}", "b: {value: 40}", {"each@b", "last"}),
    "data": ("source.txt", "source", "other", {"first", "each@a", "each@b", "last"}),
    "code inside a folder": (
        "code/inner/module.txt",
        "module",
        "edited",
        {"second", "each@a", "each@b", "last"},
    ),
    "a command": ("dvc.yaml", "stage.py last", "stage.py  last", {"last"}),
    "an output": ("a.txt", "each@a", "tampered", {"each@a", "last"}),
}


@pytest.fixture(scope="module")
def finished(small_project_factory, run) -> Path:
    """A small project that Snakemake has run."""
    root = small_project_factory()
    run("snakemake", cwd=root)
    return root


@pytest.fixture
def copy_of_finished(finished: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    return root


def ran(root: Path) -> list[str]:
    """Stages whose command really ran, sorted; the record is emptied."""
    log = root / "ran.log"
    names = sorted(log.read_text().split()) if log.exists() else []
    log.write_text("")
    return names


def edit(root: Path, path: str, old: str, new: str) -> None:
    file = root / path
    text = file.read_text()
    assert old in text, f"{path} does not hold {old!r}"
    file.write_text(text.replace(old, new))


def outputs(root: Path) -> dict[str, bytes]:
    return {
        name: (root / name).read_bytes()
        for name in ("raw/part.txt", "second.txt", "a.txt", "b.txt", "last.json")
    }


def test_snakemake_leaves_nothing_to_do_for_either_runner(copy_of_finished, run):
    assert UP_TO_DATE in run("dvc", "status", cwd=copy_of_finished).stdout
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=copy_of_finished).stdout
    assert ran(copy_of_finished) == ["each@a", "each@b", "first", "last", "second"]


def test_dvc_leaves_nothing_to_do_for_snakemake_and_the_same_bytes(small_project, finished, run):
    run("dvc", "repro", cwd=small_project)
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=small_project).stdout
    assert outputs(small_project) == outputs(finished)


def test_snakemake_has_the_edges_of_dvc(small_project, run, snakemake_edges):
    rules = {stage.rule: stage.name for stage in read_pipeline(small_project)}
    graph = run("snakemake", "--dag", "--forceall", "--quiet", "all", cwd=small_project).stdout
    labels, edges = {}, set()
    for line in graph.splitlines():
        words = line.strip().rstrip(";")
        if "label = " in words:
            labels[words.split("[")[0]] = words.split('"')[1]
        elif " -> " in words:
            edges.add(tuple(words.split(" -> ")))
    named = {(labels[made], labels[reader]) for made, reader in edges}
    assert {(rules[made], rules[reader]) for made, reader in named if reader != "all"} == read_edges(
        small_project
    )


def test_the_stage_on_which_most_time_depends_goes_first(small_project):
    # 60 minutes where nothing is said; each@a and each@b say 1.
    priorities = {stage.name: stage.priority for stage in read_pipeline(small_project)}
    assert priorities == {"last": 60, "each@a": 61, "each@b": 61, "first": 121, "second": 121}


def test_needs_take_the_place_of_meta_and_make_nothing_stale(copy_of_finished):
    edit(copy_of_finished, "params.yaml", "last:", "needs: {each: {runtime: 90}, each@b: {gpu: 1}}\nlast:")
    rules, stale = read_state(copy_of_finished)
    asked = {rule.name: rule.resources for rule in rules}
    assert asked["each@a"] == {"mem_mb": 100, "runtime": 90}
    assert asked["each@b"] == {"mem_mb": 100, "runtime": 90, "gpu": 1}
    assert {rule.name: rule.priority for rule in rules}["first"] == 60 + 90 + 60
    assert stale == set()


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ("{ech: {gpu: 1}}", "needs.ech: no such stage"),
        ("{each@c: {gpu: 1}}", "needs.each@c: no such stage"),
        ("{each: {gpus: 1}}", "needs.each.gpus: unknown key"),
        ("{each: {threads: 0}}", r"needs\.each\.threads: .* greater than 0, got 0"),
        ("{each: {mem_mb: 0}}", r"needs\.each\.mem_mb: .* greater than 0, got 0"),
        ("{each@a: {runtime: -1}}", r"needs\.each@a\.runtime: .* greater than 0, got -1"),
        ("{each: {gpu: -1}}", r"needs\.each\.gpu: .* greater than or equal to 0, got -1"),
    ],
)
def test_needs_of_a_wrong_name_or_size_are_refused(small_project, needs, said):
    edit(small_project, "params.yaml", "last:", f"needs: {needs}\nlast:")
    with pytest.raises(UserError, match=said):
        read_pipeline(small_project)


def test_one_stage_may_need_no_gpu_where_the_others_of_its_name_do(small_project):
    edit(small_project, "params.yaml", "last:", "needs: {each: {gpu: 1}, each@b: {gpu: 0}}\nlast:")
    asked = {rule.name: rule.resources for rule in read_pipeline(small_project)}
    assert asked["each@a"]["gpu"] == 1
    assert "gpu" not in asked["each@b"]


@pytest.mark.parametrize(
    ("meta", "said"), [("gpus: 1", "gpus: unknown key"), ("threads: 0", "greater than 0")]
)
def test_meta_of_a_wrong_name_or_size_is_refused(small_project, meta, said):
    edit(small_project, "dvc.yaml", "meta: {threads: 1,", f"meta: {{{meta},")
    with pytest.raises(UserError, match=rf"dvc\.yaml: each@a: meta\..*{said}"):
        read_pipeline(small_project)


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_makes_stale_what_it_reaches(copy_of_finished, kind):
    *change, expected = EDITS[kind]
    assert read_state(copy_of_finished)[1] == set()
    edit(copy_of_finished, *change)
    assert read_state(copy_of_finished)[1] == expected


def test_times_of_files_make_nothing_stale(copy_of_finished, run):
    (copy_of_finished / "source.txt").touch()
    (copy_of_finished / "code" / "top.txt").touch()
    (copy_of_finished / "raw" / "part.txt").touch()
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=copy_of_finished).stdout


def test_both_runners_run_the_same_stages_after_edits(copy_of_finished, tmp_path, run):
    ran(copy_of_finished)
    for kind in ("a parameter", "a command"):
        edit(copy_of_finished, *EDITS[kind][:3])
    twin = tmp_path / "twin"
    shutil.copytree(copy_of_finished, twin)
    run("snakemake", cwd=copy_of_finished)
    run("dvc", "repro", cwd=twin)
    assert ran(copy_of_finished) == ran(twin) == ["each@b", "last"]
    assert outputs(copy_of_finished) == outputs(twin)
    assert (copy_of_finished / "dvc.lock").read_text() == (twin / "dvc.lock").read_text()
    assert UP_TO_DATE in run("dvc", "status", cwd=copy_of_finished).stdout
    assert NOTHING_TO_DO in run("snakemake", "-n", cwd=twin).stdout


def test_an_output_that_dvc_keeps_is_fetched_not_made_again(copy_of_finished, run):
    ran(copy_of_finished)
    (copy_of_finished / "second.txt").unlink()
    run("snakemake", "second.txt", cwd=copy_of_finished)
    assert ran(copy_of_finished) == []
    assert (copy_of_finished / "second.txt").exists()


def test_stages_started_at_once_all_get_into_the_lock_file(small_project, run):
    path = small_project / "dvc.yaml"
    names = [f"free{index}" for index in range(6)]
    path.write_text(
        "stages:\n" + "".join(f"  {n}:\n    cmd: echo {n} > {n}.txt\n    outs: [{n}.txt]\n" for n in names)
    )
    command = ["dvc", "--wait-for-lock", "repro", "--single-item"]
    started = [subprocess.Popen([*command, name], cwd=small_project, env=run.environment) for name in names]
    assert [process.wait() for process in started] == [0] * len(names)
    assert UP_TO_DATE in run("dvc", "status", cwd=small_project).stdout


def test_a_job_reads_no_record_but_its_own(copy_of_finished, run):
    ran(copy_of_finished)
    edit(copy_of_finished, "dvc.lock", "  last:\n    cmd:", "  last:\n    dmc:")
    assert (
        "didn't change" in run("python", "-m", "spinloop.pipeline.job", "first", cwd=copy_of_finished).stdout
    )
    assert ran(copy_of_finished) == []


def test_a_damaged_record_is_told_in_one_line(copy_of_finished, run):
    edit(copy_of_finished, "dvc.lock", "  last:\n    cmd:", "  last:\n    dmc:")
    done = run("python", "-m", "spinloop.pipeline.job", "last", cwd=copy_of_finished, check=False)
    assert done.returncode == 1
    assert re.fullmatch("last: .*dvc.lock.*\n", done.stdout)


def test_a_failing_stage_shows_its_line_and_leaves_the_others_done(small_project, run):
    failing = "mkdir raw; echo half > raw/part.txt; echo 'spinloop says the fix' >&2; exit 2 #"
    edit(small_project, "dvc.yaml", "python stage.py first", failing)
    done = run("snakemake", cwd=small_project, check=False)
    assert done.returncode != 0
    assert "spinloop says the fix" in done.stdout
    assert (small_project / "second.txt").exists()
    assert not (small_project / "a.txt").exists(), "a stage read what the failed one left"
    assert not (small_project / "last.json").exists()


def test_a_broken_pipeline_file_gives_one_line(small_project, run):
    edit(small_project, "dvc.yaml", "${first.value}", "${first.valeu}")
    done = run("snakemake", cwd=small_project, check=False)
    assert done.returncode != 0
    assert "first.valeu" in done.stdout
    assert "Traceback" not in done.stdout
