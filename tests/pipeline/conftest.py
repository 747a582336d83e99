"""Temporary projects in which both runners are tried."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RUNNER_FILES = ("Snakefile", "workflow", "profiles", ".dvcignore", ".dvc/config", ".dvc/.gitignore")

# Each stage reads its inputs, adds its parameter, and notes outside the outputs that it really ran.
STAGE_SCRIPT = """
import sys, pathlib, time
name, value, *paths = sys.argv[1:]
split = paths.index("--")
text = "".join(sorted(p.read_text() for q in map(pathlib.Path, paths[:split])
                      for p in ([q] if q.is_file() else sorted(q.rglob("*.txt")))))
with open("ran.log", "a") as log:
    log.write(name + "\\n")
for out in map(pathlib.Path, paths[split + 1:]):
    target = out if out.suffix else out / "part.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{name} {value} <{len(text)}>\\n{text}")
"""

PARAMS = "first: {value: 1}\nsecond: {value: 2}\nitems: {a: {value: 3}, b: {value: 4}}\nlast: {value: 5}\n"

DVC_YAML = """
stages:
  first:
    cmd: python stage.py first ${first.value} source.txt -- raw
    deps: [source.txt]
    params: [first]
    outs: [raw]
  second:
    cmd: python stage.py second ${second.value} code -- second.txt
    deps: [code]
    params: [second]
    outs: [second.txt]
  each:
    foreach: ${items}
    do:
      cmd: python stage.py each@${key} ${item.value} raw second.txt -- ${key}.txt
      deps:
        - raw
        - second.txt
      params:
        - items.${key}
      outs:
        - ${key}.txt
      meta: {threads: 1, mem_mb: 100, runtime: 1}
  last:
    cmd: python stage.py last ${last.value} a.txt b.txt -- last.json
    deps: [a.txt, b.txt]
    params: [last]
    metrics:
      - last.json:
          cache: false
"""


class Shell:
    """Runs commands with the tests' own environment on PATH."""

    def __init__(self) -> None:
        # A `make` that runs the tests tells a `make` inside them so, which then reports its folders.
        outer_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in outer_make},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def environment_in(self, root: Path) -> dict[str, str]:
        """The environment for a command in `root`; a copy of this project runs its own code."""
        return (
            {**self.environment, "PYTHONPATH": str(root / "src")}
            if (root / "src").is_dir()
            else self.environment
        )

    def __call__(self, *command: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Wait for a command; its output and errors come as one text. `check`: a failure fails the test."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment_in(cwd),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} → {done.returncode}\n{done.stdout}")
        return done


@pytest.fixture(scope="session")
def run() -> Shell:
    return Shell()


@pytest.fixture(scope="session")
def small_project_factory(tmp_path_factory, repository: Path, run: Shell) -> Callable[[], Path]:
    """Makes projects of quick stages with the real Snakefile, profile and DVC settings; nothing has run."""

    def make() -> Path:
        root = tmp_path_factory.mktemp("small") / "project"
        for name in RUNNER_FILES:
            source, target = repository / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        (root / "code" / "inner").mkdir(parents=True)
        (root / "code" / "inner" / "module.txt").write_text("module\n")
        (root / "code" / "top.txt").write_text("code\n")
        (root / "stage.py").write_text(STAGE_SCRIPT)
        (root / "source.txt").write_text("source\n")
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / "params.yaml").write_text(PARAMS)
        (root / ".gitignore").write_text("/ran.log\n/logs/\n/.snakemake/\n")
        run("git", "init", "-q", cwd=root)
        return root

    return make


@pytest.fixture(scope="module")
def committed(small_project_factory, run) -> Path:
    """A small project that Snakemake has run, in a first commit. Not to be changed."""
    root = small_project_factory()
    run("snakemake", cwd=root)
    (root / "ran.log").unlink()
    run("git", "config", "user.name", "nobody", cwd=root)
    run("git", "config", "user.email", "nobody@localhost", cwd=root)
    commit(run, root)
    return root


@pytest.fixture
def versioned(committed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(committed, tmp_path / "versioned"))


def commit(run: Shell, root: Path) -> None:
    run("git", "add", "--all", cwd=root)
    run("git", "commit", "--quiet", "--message", "state", cwd=root)


@pytest.fixture(scope="session")
def commit_all(run) -> Callable[[Path], None]:
    """Commits all that git would take."""
    return lambda root: commit(run, root)


@pytest.fixture
def small_project(small_project_factory) -> Path:
    return small_project_factory()


@pytest.fixture(scope="session")
def snakemake_edges() -> Callable[[str], set[tuple[str, str]]]:
    """Reads the edges, as (rule that makes, rule that reads), from what `snakemake --dag` prints."""

    def read(graph: str) -> set[tuple[str, str]]:
        labels = dict(re.findall(r'(\d+)\s*\[\s*label\s*=\s*"([^"\\]+)', graph))
        return {(labels[made], labels[reader]) for made, reader in re.findall(r"(\d+) -> (\d+)", graph)}

    return read


@pytest.fixture(scope="session")
def project_factory(tmp_path_factory, repository: Path, run: Shell) -> Callable[[], Path]:
    """Makes copies of this project as a fresh clone would have it: what git has or would take."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=repository).stdout

    def make() -> Path:
        root = tmp_path_factory.mktemp("project") / "spinloop"
        for name in filter(None, listed.split("\0")):
            if (repository / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(repository / name, root / name)
        run("git", "init", "-q", cwd=root)
        return root

    return make


@pytest.fixture(scope="module")
def project(project_factory) -> Path:
    return project_factory()
