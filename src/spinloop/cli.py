"""The command line: `spinloop <command>`, one command for each module in `spinloop.stages`.

The modules of the commands import what they need inside `run`. So `--help` is quick, and the number of
threads is set before a numerical library is loaded.
"""

import ctypes
import errno
import functools
import importlib
import inspect
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

import spinloop.stages
from spinloop.errors import UserError
from spinloop.locks import hold_outputs
from spinloop.options import MAIN, WRITTEN

# The numerical libraries read these when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# System errors that the user can fix: the place of a file, its permissions, space on the disk.
USER_ERRNOS = {
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

_ARGUMENT = "main_file"

# Linux's prctl: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command line; a user's error ends it with one line and status 2."""
    _die_with_dvc()
    try:
        app(prog_name="spinloop")
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in USER_ERRNOS:
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror}; fix it and run the same command again")


class CommandGroup(TyperGroup):
    """Commands whose names may be written with hyphens."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command `fit_initial` for `fit_initial` and for `fit-initial`."""
        return super().resolve_command(ctx, [args[0].replace("-", "_"), *args[1:]])


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SPIN, human pose and shape by model fitting in the loop. One command for each stage of dvc.yaml.",
)


def add_command(name: str) -> None:
    """Make a command of a stage's `run`: its signature gives the options, its docstring the help."""
    run = importlib.import_module(f"spinloop.stages.{name}").run
    written, main = written_by(run), marked_by(run, MAIN)

    @functools.wraps(run)
    def command(**options: Any) -> None:
        if main:
            _take_argument(name, main[0], options)
        params = options.get("params", Path("params.yaml"))
        try:
            with _parameters_kept(params):
                limit_threads(params)
                outputs = [path for name in written if (path := options[name]) is not None]
                with hold_outputs(outputs if _speaks_for_all() else []):
                    run(**options)
        except KeyboardInterrupt:
            print("spinloop: interrupted; the same command resumes", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    if main:
        _add_argument(command, main[0])
    summary = (run.__doc__ or "").partition("\n\n")[0]
    app.command(name, short_help=summary)(command)


def _add_argument(command: Callable[..., None], main: str) -> None:
    """Let the file of an option also be named without it: `spinloop validate TABLE` or `--table TABLE`."""
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    help_text = f"The file of --{main.replace('_', '-')}."
    argument = Annotated[Path | None, typer.Argument(metavar="FILE", help=help_text, show_default=False)]
    kinds = inspect.Parameter
    default = signature.parameters[main].default
    option = signature.parameters[main].replace(
        default=None if default is kinds.empty else default, kind=kinds.KEYWORD_ONLY
    )
    first = kinds(_ARGUMENT, kinds.POSITIONAL_OR_KEYWORD, default=None, annotation=argument)
    others = [parameter for key, parameter in signature.parameters.items() if key != main]
    command.__signature__ = signature.replace(parameters=[first, option, *others])  # pyright: ignore
    info = next(part for part in hints[main].__metadata__ if part != MAIN)
    command.__annotations__ = {**hints, main: Annotated[Path | None, info], _ARGUMENT: argument}


def _take_argument(name: str, main: str, options: dict[str, Any]) -> None:
    """Put the file that was named without its option in the place of the option.

    Raises:
        UserError: it is named twice, or not at all.
    """
    file, option = options.pop(_ARGUMENT), f"--{main.replace('_', '-')}"
    if file is not None and options[main] is not None and options[main] != _default(name, main):
        raise UserError(f"{name}: the file is named twice, {file} and {option} {options[main]}; name it once")
    if file is not None:
        options[main] = file
    if options[main] is None:
        raise UserError(f"{name}: no file named; write `spinloop {name} FILE` or `{option} FILE`")


def _default(name: str, option: str) -> Any:
    run = importlib.import_module(f"spinloop.stages.{name}").run
    return inspect.signature(run).parameters[option].default


@contextmanager
def _parameters_kept(params: Path) -> Iterator[None]:
    """What runs is what is recorded: an edit of the parameter file meanwhile does not reach the command.

    Raises:
        UserError: the file is no longer the one whose values the job of this stage records; or DVC, which
            reads it again when the command has ended, would record other values.
    """
    if not params.is_file():
        yield
        return
    from spinloop.params.loader import PARAMETERS_VARIABLE, digest_read, edits_ignored, load_yaml

    recorded, stage = os.environ.get(PARAMETERS_VARIABLE), os.environ.get("DVC_STAGE")
    with edits_ignored():
        before, values = digest_read(params), load_yaml(params)
        if recorded not in (None, before) and params == Path("params.yaml"):
            raise UserError(f"{params}: edited while {stage} started; run the same command again")
        yield
    if recorded is None and stage is not None and digest_read(params) != before:
        from spinloop.pipeline.job import recorded_values

        edited = recorded_values(stage, values, load_yaml(params))
        if edited:
            raise UserError(
                f"{params}: {', '.join(edited)}: edited while {stage} ran; its outputs are whole and are "
                "those of the old values, but DVC would record the new ones: set them back and run "
                f"`dvc commit -f {stage}`, or run `dvc repro` to make it anew"
            )


def _speaks_for_all() -> bool:
    """Whether this is the only process of the command, or the first of those that `torchrun` started."""
    is_launched = "TORCHELASTIC_RUN_ID" in os.environ  # `torch.distributed`'s own rule, without its import
    return not is_launched or os.environ["RANK"] == "0"


def written_by(run: Callable[..., None]) -> list[str]:
    """Names of the options whose files and folders a command writes."""
    return marked_by(run, WRITTEN)


def marked_by(run: Callable[..., None], mark: str) -> list[str]:
    """Names of the options of a command whose types have a mark."""
    hints = get_type_hints(run, include_extras=True).items()
    return [name for name, hint in hints if _is_marked(hint, mark)]


def _is_marked(hint: Any, mark: str) -> bool:
    return hint == mark or any(_is_marked(part, mark) for part in get_args(hint))


def limit_threads(params: Path) -> None:
    """Give the numerical libraries `runtime.threads` threads, whatever the environment says.

    Without a parameter file, that is outside a project, nothing changes.
    """
    if not params.is_file():
        return
    from spinloop.params.loader import RuntimeParams, load_section

    threads = load_section(params, "runtime", RuntimeParams).threads
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


def _die_with_dvc() -> None:
    """End this process when the DVC that runs it is killed, so that a second run does not write beside it."""
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fail(message: str) -> None:
    print(f"spinloop: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


for _module in pkgutil.iter_modules(spinloop.stages.__path__):
    if not _module.name.startswith("_"):
        add_command(_module.name)
