"""Data under version control: remotes, older commits, experiments, raw data that must not leave."""

from pathlib import Path

import pytest

NOTHING_TO_DO = "Nothing to be done"
OUTPUTS = ("raw/part.txt", "second.txt", "a.txt", "b.txt", "last.json")
SECRET = "licensed: not to be passed on"


@pytest.fixture
def remote(versioned: Path, tmp_path: Path, run) -> Path:
    """A folder to which the project pushes."""
    run("dvc", "remote", "add", "--default", "lab", str(tmp_path / "remote"), cwd=versioned)
    return tmp_path / "remote"


def outputs(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in OUTPUTS}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new))


def holding(folder: Path, words: str) -> list[Path]:
    return [
        path for path in folder.rglob("*") if path.is_file() and words in path.read_text(errors="replace")
    ]


def test_a_fresh_clone_pulls_and_has_nothing_to_do(versioned, remote, commit_all, tmp_path, run):
    run("dvc", "push", cwd=versioned)
    commit_all(versioned)
    run("git", "clone", "--quiet", str(versioned), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    run("dvc", "pull", cwd=clone)
    assert outputs(clone) == outputs(versioned)
    assert NOTHING_TO_DO in run("snakemake", cwd=clone).stdout
    run("dvc", "repro", cwd=clone)
    assert not (clone / "ran.log").exists()


def test_nothing_runs_after_going_back_to_an_older_commit_and_forth(versioned, commit_all, run):
    old = outputs(versioned)
    edit(versioned / "params.yaml", "b: {value: 4}", "b: {value: 40}")
    run("snakemake", cwd=versioned)
    commit_all(versioned)
    new = outputs(versioned)
    (versioned / "ran.log").unlink()
    for target, expected in (("HEAD~1", old), ("-", new)):
        run("git", "checkout", "--quiet", target, cwd=versioned)
        run("dvc", "checkout", cwd=versioned)
        assert outputs(versioned) == expected
        assert NOTHING_TO_DO in run("snakemake", cwd=versioned).stdout
    assert new != old
    assert not (versioned / "ran.log").exists()


def test_an_experiment_changes_one_parameter_and_runs_what_it_reaches(versioned, run):
    run("dvc", "exp", "run", "--name", "trial", "--set-param", "items.a.value=9", cwd=versioned)
    assert sorted((versioned / "ran.log").read_text().split()) == ["each@a", "last"]
    assert "each@a 9" in (versioned / "last.json").read_text()
    assert "trial" in run("dvc", "exp", "list", cwd=versioned).stdout


def test_raw_data_are_tracked_by_hash_and_enter_neither_cache_nor_remote(versioned, remote, run):
    """`source.txt` and the folder `code` stand for a dataset: only read, never made."""
    (versioned / "source.txt").write_text(SECRET)
    (versioned / "code/inner/image.bin").write_text(SECRET)
    edit(versioned / "stage.py", "<{len(text)}>\\n{text}", "<{len(text)}>")
    run("dvc", "repro", cwd=versioned)
    run("dvc", "push", "--run-cache", cwd=versioned)
    assert (remote / "files").is_dir()
    assert holding(remote, SECRET) == []
    assert holding(versioned / ".dvc/cache", SECRET) == []
    (versioned / "code/inner/image.bin").write_text(SECRET + ", second edition")
    assert "second" in run("dvc", "status", cwd=versioned).stdout


def test_an_output_that_is_not_to_be_pushed_stays_at_home(versioned, remote, commit_all, tmp_path, run):
    edit(versioned / "dvc.yaml", "outs: [second.txt]", "outs: [second.txt: {push: false}]")
    run("dvc", "push", cwd=versioned)
    commit_all(versioned)
    second = (versioned / "second.txt").read_text()
    assert [path for path in remote.rglob("*") if path.is_file() and path.read_text() == second] == []
    run("git", "clone", "--quiet", str(versioned), "clone", cwd=tmp_path)
    run("dvc", "pull", "--allow-missing", cwd=tmp_path / "clone")
    run("dvc", "repro", cwd=tmp_path / "clone")
    assert (tmp_path / "clone/ran.log").read_text().split() == ["second"]


def test_code_that_is_gone_is_missed(versioned, run):
    """Git keeps it, so it is no data that somebody has no licence for."""
    (versioned / "source.txt").unlink()
    assert "each@a" in run("snakemake", "-n", "--quiet", "rules", cwd=versioned).stdout.replace("_", "@")


def test_without_the_raw_data_a_clone_pulls_and_has_nothing_to_do(
    versioned, remote, commit_all, tmp_path, run
):
    """Of a colleague without the licence: `source.txt` and `code` stand for datasets."""
    (versioned / ".gitignore").write_text((versioned / ".gitignore").read_text() + "/source.txt\n")
    run("git", "rm", "--quiet", "--cached", "source.txt", cwd=versioned)
    run("dvc", "push", cwd=versioned)
    commit_all(versioned)
    run("git", "clone", "--quiet", str(versioned), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    assert not (clone / "source.txt").exists()
    run("dvc", "pull", cwd=clone)
    run("dvc", "repro", "--allow-missing", cwd=clone)
    assert NOTHING_TO_DO in run("snakemake", cwd=clone).stdout
    assert outputs(clone) == outputs(versioned)
    assert not (clone / "ran.log").exists()
