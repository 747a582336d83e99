"""The command line: help, mistakes and their exit codes, threads."""

import importlib
import pkgutil
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from dvc.repo import Repo

import spinloop.stages
from spinloop.cli import app, written_by

STAGES = [module.name for module in pkgutil.iter_modules(spinloop.stages.__path__) if module.name[0] != "_"]
COMMANDS: Any = vars(typer.main.get_command(app))["commands"]


@pytest.fixture(scope="module", name="call")
def fixture_call(run, repository):
    """Calls the installed command in the project's folder."""

    def call(*words: str, cwd: Path = repository):
        return run("spinloop", *words, cwd=cwd, check=False)

    return call


def test_help_lists_every_stage_with_its_line(call):
    done = call("--help")
    assert done.returncode == 0
    for name in STAGES:
        assert f"  {name}  " in done.stdout, f"{name} is not in\n{done.stdout}"


def test_every_output_of_the_pipeline_is_locked_by_the_command_that_writes_it(repository):
    with Repo(str(repository)) as repo:
        stages = [stage for stage in repo.index.stages if stage.outs and stage.cmd.startswith("spinloop ")]
        assert len(stages) > 50
        for stage in stages:
            name, *words = shlex.split(stage.cmd)[1:]
            values = dict(zip(words[::2], words[1::2], strict=True))
            options = written_by(importlib.import_module(f"spinloop.stages.{name}").run)
            locked = {values.get(f"--{option.replace('_', '-')}") for option in options}
            for out in stage.outs:
                paths = {str(path) for path in (Path(out.def_path), *Path(out.def_path).parents)}
                assert paths & locked, f"{stage.addressing}: {out.def_path}"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help_imports_no_numerical_library(run, repository, words):
    code = (
        f"import sys, spinloop.cli as c\ntry:\n    c.app({words})\nexcept SystemExit:\n    pass\n"
        "print('loaded:', sorted({'numpy', 'torch', 'pandas', 'dvc'} & set(sys.modules)))"
    )
    assert "loaded: []" in run(sys.executable, "-c", code, cwd=repository).stdout


@pytest.mark.parametrize("name", STAGES)
def test_every_command_and_option_is_explained(name):
    command = COMMANDS[name]
    assert "Args:" not in command.help
    assert command.short_help.endswith(".")
    assert len(command.short_help) <= 106
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help[0].isupper() or parameter.help[0] in "`*"


def test_help_of_a_command_shows_its_options(call):
    done = call("merge", "--help")
    assert done.returncode == 0
    assert "--out" in done.stdout
    assert "[required]" in done.stdout


def test_a_hyphen_names_the_same_command(call):
    assert call("fit-prior", "--help").stdout == call("fit_prior", "--help").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare_bodies"], "prepare_bodies"),
        (["fit_prior"], "--out"),
        (["fit_prior", "--outt", "x"], "--outt"),
    ],
)
def test_a_wrong_command_line_names_the_word_and_exits_with_2(call, words, said):
    done = call(*words)
    assert done.returncode == 2
    assert said in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_parameter_gives_one_line_with_the_fix(call, repository, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text((repository / "params.yaml").read_text().replace("\nprior:", "\nprior:\n  motoin: []"))
    report = ("--report", str(tmp_path / "report.json"))
    done = call("fit_prior", "--out", str(tmp_path / "out.npz"), *report, "--params", str(params))
    assert done.returncode == 2
    assert done.stdout == (
        f"spinloop: error: {params}: prior.motoin: unknown key; remove it or correct its spelling\n"
    )
    assert not (tmp_path / "out.npz").exists()


def test_a_parameter_file_that_is_absent_gives_one_line(call, tmp_path):
    done = call("fit_prior", "--out", "out.npz", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "params.yaml: no such file" in done.stdout


def test_an_unwritable_place_gives_one_line(call, tmp_path):
    (tmp_path / "file").write_text("")
    out, report = tmp_path / "file" / "mixture.npz", tmp_path / "report.json"
    done = call("fit_prior", "--out", str(out), "--report", str(report))
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "Not a directory" in done.stdout or "File exists" in done.stdout


def test_threads_come_from_the_parameters_whatever_the_environment_says(run, repository, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("runtime: {threads: 2}\n")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom spinloop.cli import limit_threads\n"
        f"os.environ['OMP_NUM_THREADS'] = '7'\nlimit_threads(Path({str(params)!r}))\n"
        "assert 'torch' not in sys.modules\nimport torch\nprint('threads:', torch.get_num_threads())"
    )
    assert "threads: 2" in run(sys.executable, "-c", code, cwd=repository).stdout


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("import_checkpoint", "--checkpoint"),
        ("convert_body", "--file"),
    ],
)
def test_the_main_file_is_an_argument_or_an_option(call, tmp_path, command, option):
    """The message names the absent file, so the command got it; both at once and neither are refused."""
    rest = ["--out", str(tmp_path / "out.npz")]
    for words in (["absent.npz"], [option, "absent.npz"]):
        done = call(command, *words, *rest, cwd=tmp_path)
        assert done.returncode == 2
        assert "absent.npz: no such file" in done.stdout
    assert "the file is named twice" in call(command, "a.npz", option, "b.npz", *rest, cwd=tmp_path).stdout
    assert f"write `spinloop {command} FILE`" in call(command, *rest, cwd=tmp_path).stdout
