"""The command line: `spinloop <stage>`, one command for each module in `spinloop.stages`.

A stage's module is imported only when its command runs, so that `--help` is quick and the number of threads
is settled before any numerical library starts.
"""

import ast
import ctypes
import errno
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from spinloop.errors import UserError

STAGES = Path(__file__).parent / "stages"

# Whoever computes reads one of these when it is loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Faults of the place where files are read or written, which the user can mend.
PLACE_FAULTS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}

INTERRUPTED = 130

# Linux's prctl: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command line; a user's mistake ends it with one line and status 2."""
    _end_with_dvc()
    try:
        app(prog_name="spinloop")
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in PLACE_FAULTS:
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror}; mend it and run the same command again")


class StageGroup(TyperGroup):
    """Commands found by their modules' names; a module is imported when its command is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the stages, sorted."""
        return sorted(path.stem for path in STAGES.glob("*.py") if not path.stem.startswith("_"))

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """A stand-in that knows the one-line help only, read without importing the stage."""
        name = cmd_name.replace("-", "_")
        if name not in self.list_commands(ctx):
            return None
        source = (STAGES / f"{name}.py").read_text(encoding="utf-8")
        summary = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0]
        return TyperCommand(name, help=summary, short_help=summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command, of the stage that the first word names."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is None or command.name is None:
            return name, command, rest
        _limit_threads(_given_params(rest))
        return command.name, stage_command(command.name), rest


app = typer.Typer(
    cls=StageGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SPIN, human pose and shape by model fitting in the loop. One command for each stage of dvc.yaml.",
)


@app.callback()
def _group() -> None:
    """Without a callback typer would not make a group."""


def stage_command(name: str) -> Any:
    """Import a stage and make its command: `run`'s keyword arguments become options."""
    run = importlib.import_module(f"spinloop.stages.{name}").run
    text, helps = split_docstring(inspect.getdoc(run) or "")
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, help=text)(_with_options(run, helps))
    return typer.main.get_command(single)


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a Google docstring into its prose and the description of each argument."""
    head, _, tail = docstring.partition("\nArgs:\n")
    helps: dict[str, str] = {}
    name = ""
    for line in tail.splitlines():
        if line and not line.startswith(" "):
            break
        words = line.strip()
        if line.startswith("    ") and not line.startswith("     ") and ":" in words:
            name, _, words = words.partition(":")
            helps[name] = words.strip()
        elif name and words:
            helps[name] += f" {words}"
    return head.strip(), helps


def _with_options(run: Callable[..., None], helps: dict[str, str]) -> Callable[..., None]:
    """The same function with a signature in which typer sees options, required where there is no default."""

    def call(**options: Any) -> None:
        try:
            run(**options)
        except KeyboardInterrupt:
            print("spinloop: interrupted; the same command goes on where it was", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    parameters = [
        parameter.replace(annotation=Annotated[parameter.annotation, _option(parameter, helps)])
        for parameter in inspect.signature(run).parameters.values()
    ]
    call.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _option(parameter: inspect.Parameter, helps: dict[str, str]) -> Any:
    """A keyword-only parameter is an option; any other is a word of the command line without a name."""
    text = helps.get(parameter.name, "")
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        return typer.Argument(help=text)
    return typer.Option(f"--{parameter.name.replace('_', '-')}", help=text)


def _given_params(words: list[str]) -> Path:
    """The parameter file that a command line names; its own default otherwise."""
    for word, following in pairwise([*words, ""]):
        if word == "--params":
            return Path(following)
        if word.startswith("--params="):
            return Path(word.removeprefix("--params="))
    return Path("params.yaml")


def _limit_threads(params: Path) -> None:
    """Give the numerical libraries `runtime.threads` threads, whatever the machine or environment has.

    Outside a project (no parameter file) they keep their own choice.
    """
    if not params.is_file():
        return
    from spinloop.params.loader import RuntimeParams, load_section

    threads = load_section(params, "runtime", RuntimeParams).threads
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


def _end_with_dvc() -> None:
    """A stage ends when the DVC that runs it is killed, or a second run would write beside it."""
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fail(message: str) -> None:
    print(f"spinloop: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)
