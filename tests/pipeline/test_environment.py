"""One environment, written in several files."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spinloop.params.loader import load_yaml

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [Requirement(text) for text in PROJECT["dependencies"] + EXTRAS["dev"]]
ADDED = [Requirement(text) for name in ("s3", "slurm", "services") for text in EXTRAS[name]]

# Dependencies that no module of the package imports, and what needs them.
NOT_IMPORTED = {
    "dvc-ssh": "DVC's remotes over SSH",
    "snakemake": "one of the two runners",
    "tensorboard": "torch.utils.tensorboard",
}


@cache
def distributions_imported(folder: str) -> frozenset[frozenset[str]]:
    """For every module from elsewhere that a folder imports, the distributions that may provide it."""
    names: set[str] = set()
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module).split(".")[0])
    own = {"spinloop"}  # and modules outside packages, beside which a script runs
    for path in (REPOSITORY / folder).rglob("*.py"):
        own |= set() if (path.parent / "__init__.py").exists() else {path.stem}
    provided = metadata.packages_distributions()
    elsewhere = names - own - sys.stdlib_module_names
    return frozenset(frozenset(map(canonicalize_name, provided.get(name, [name]))) for name in elsewhere)


def declared(*extras: str) -> set[str]:
    texts = PROJECT["dependencies"] + [text for extra in extras for text in EXTRAS[extra]]
    return {canonicalize_name(Requirement(text).name) for text in texts}


@pytest.mark.parametrize(("folder", "extras"), [("src", []), ("tests", EXTRAS), ("benchmarks", ["dev"])])
def test_every_import_is_a_declared_dependency(folder, extras):
    missing = [sorted(names) for names in distributions_imported(folder) if not names & declared(*extras)]
    assert not missing


def test_every_dependency_is_imported_or_its_use_is_known():
    imported = frozenset().union(*distributions_imported("src"))
    assert declared() - imported == set(NOT_IMPORTED)


def locked(name: str = "requirements.lock") -> dict[str, str]:
    lines = (REPOSITORY / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("requirement", WANTED, ids=str)
def test_the_lock_file_satisfies_the_project(requirement):
    version = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), f"{requirement.name}: {version} is locked"


@pytest.mark.parametrize("requirement", ADDED, ids=str)
def test_the_lock_file_of_the_services_satisfies_the_extras(requirement):
    version = locked("requirements-services.lock")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), f"{requirement.name}: {version} is locked"


def test_no_package_is_locked_in_both_files():
    assert set(locked()).isdisjoint(locked("requirements-services.lock"))


def test_the_container_file_installs_the_lock_file_on_the_same_python(repository):
    """No container engine is needed to read it; that it builds is not tested."""
    words = (repository / "Containerfile").read_text()
    python = re.search(r"^FROM \S+/python:(\d+\.\d+)-", words, re.MULTILINE)
    conda = load_yaml(repository / "environment.yml")["dependencies"]
    assert python is not None
    assert f"python={python[1]}" in conda
    assert "pip install --no-cache-dir --requirement requirements.lock" in words
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", words, re.MULTILINE) for name in line.split()]
    assert [name for name in copied if not (repository / name).exists()] == []


def test_what_is_locked_is_what_runs():
    running = {name: metadata.version(name).split("+")[0] for name in locked()}
    assert running == locked()


def test_the_lock_file_pins_each_package_once():
    lines = [line for line in (REPOSITORY / "requirements.lock").read_text().splitlines() if line[0] != "#"]
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    assert len(names) == len(set(names))
    assert lines == sorted(lines, key=str.lower)


def test_conda_installs_the_lock_file_and_a_python_that_the_project_accepts():
    packages = load_yaml(REPOSITORY / "environment.yml")["dependencies"]
    python = next(item for item in packages if isinstance(item, str) and item.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1])
    assert {"pip": ["--requirement requirements.lock", "--editable ."]} in packages


def test_make_help_explains_every_target(run, repository):
    shown = {line.split()[0] for line in run("make", "help", cwd=repository).stdout.splitlines()}
    declared = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    assert shown == set(declared[1].split())


def test_continuous_integration_runs_the_checks_and_the_tests(repository):
    words = (repository / ".ci/run").read_text()
    assert "set -euo pipefail" in words
    assert "make check" in words
    assert "make test" in words
