"""The command line: help, mistakes and their exit codes, threads."""

import ast
import inspect
import sys
from pathlib import Path

import pytest

from spinloop.cli import split_docstring

STAGES = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "src/spinloop/stages").glob("*.py")
    if not path.stem.startswith("_")
)


@pytest.fixture(scope="module")
def spinloop(run, repository):
    """Calls the installed command in the project's folder."""

    def call(*words: str, cwd: Path = repository):
        return run("spinloop", *words, cwd=cwd, check=False)

    return call


def test_help_lists_every_stage_with_its_line(spinloop):
    done = spinloop("--help")
    assert done.returncode == 0
    for name in STAGES:
        assert f"  {name}  " in done.stdout, f"{name} is not in\n{done.stdout}"


def test_help_imports_no_numerical_library(run, repository):
    code = (
        "import sys, spinloop.cli as c\n"
        "try:\n    c.app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('loaded:', sorted({'numpy', 'torch', 'pandas', 'dvc', 'pydantic'} & set(sys.modules)))"
    )
    assert "loaded: []" in run(sys.executable, "-c", code, cwd=repository).stdout


@pytest.mark.parametrize("name", STAGES)
def test_every_option_of_a_stage_is_explained(name, repository):
    tree = ast.parse((repository / f"src/spinloop/stages/{name}.py").read_text())
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    options = [argument.arg for argument in run.args.args + run.args.kwonlyargs]
    assert options == list(split_docstring(inspect.cleandoc(ast.get_docstring(run)))[1])


def test_help_of_a_command_shows_its_options(spinloop):
    done = spinloop("merge", "--help")
    assert done.returncode == 0
    assert "--out" in done.stdout
    assert "[required]" in done.stdout


def test_a_hyphen_names_the_same_command(spinloop):
    assert spinloop("fit-prior", "--help").stdout == spinloop("fit_prior", "--help").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare_bodies"], "prepare_bodies"),
        (["fit_prior"], "--out"),
        (["fit_prior", "--outt", "x"], "--outt"),
    ],
)
def test_a_wrong_command_line_names_the_word_and_exits_with_2(spinloop, words, said):
    done = spinloop(*words)
    assert done.returncode == 2
    assert said in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_parameter_gives_one_line_with_the_cure(spinloop, repository, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text((repository / "params.yaml").read_text().replace("\nprior:", "\nprior:\n  motoin: []"))
    report = ("--report", str(tmp_path / "report.json"))
    done = spinloop("fit_prior", "--out", str(tmp_path / "out.npz"), *report, "--params", str(params))
    assert done.returncode == 2
    assert done.stdout == (
        f"spinloop: error: {params}: prior.motoin: unknown key; remove it or correct its spelling\n"
    )
    assert not (tmp_path / "out.npz").exists()


def test_a_parameter_file_that_is_absent_gives_one_line(spinloop, tmp_path):
    done = spinloop("fit_prior", "--out", "out.npz", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "params.yaml: no such file" in done.stdout


def test_an_unwritable_place_gives_one_line(spinloop, tmp_path):
    (tmp_path / "file").write_text("")
    out, report = tmp_path / "file" / "mixture.npz", tmp_path / "report.json"
    done = spinloop("fit_prior", "--out", str(out), "--report", str(report))
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "Not a directory" in done.stdout or "File exists" in done.stdout


def test_threads_come_from_the_parameters_whatever_the_environment_says(run, repository, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("runtime: {threads: 2}\n")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom spinloop.cli import _limit_threads\n"
        f"os.environ['OMP_NUM_THREADS'] = '7'\n_limit_threads(Path({str(params)!r}))\n"
        "assert 'torch' not in sys.modules\nimport torch\nprint('threads:', torch.get_num_threads())"
    )
    assert "threads: 2" in run(sys.executable, "-c", code, cwd=repository).stdout


def test_docstrings_split_into_prose_and_arguments():
    arguments = "Args:\n    first: of two\n        lines: here.\n    other: next."
    text = f"One line.\n\nMore.\n\n{arguments}\n\nRaises:\n    X: y."
    assert split_docstring(text) == ("One line.\n\nMore.", {"first": "of two lines: here.", "other": "next."})
