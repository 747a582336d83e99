"""Messages and progress of a running command, on standard error.

On a terminal progress is a bar; in a log or a pipe it is a line every 15 seconds.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
S = TypeVar("S", bound=Sized)
_SECONDS_BETWEEN_LINES = 15.0
_PIPE_WIDTH = 10_000


@dataclass(frozen=True)
class Throughput:
    """How the speed of a loop over rows is reported."""

    unit: str
    """What is counted per second."""
    n_each: int = 1
    """How many units a row has."""
    n_before: int = 0
    """Rows that were done before this run."""
    note: Callable[[], str] = str
    """Further text, computed for each message."""

    def describe(self, n_done: int, seconds: float) -> str:
        """The speed after `n_done` rows, and the note."""
        speed = f"{(n_done - self.n_before) * self.n_each / max(seconds, 1e-9):.3g} {self.unit}/s"
        return ", ".join(filter(None, [speed if self.unit else "", self.note()]))


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and report how many are done.

    Args:
        items: anything to iterate over.
        description: name of the work.
        total: number of items, if known.
    """
    return _report(items, description, total, Throughput(""), lambda _: 1)


def rate(batches: Iterable[S], description: str, total: int, throughput: Throughput | str) -> Iterator[S]:
    """Yield the batches; report how many rows are done, and how many per second.

    Args:
        batches: batches of rows.
        description: name of the work.
        total: number of rows.
        throughput: how the speed is reported, or just the name of a row.
    """
    if isinstance(throughput, str):
        throughput = Throughput(throughput)
    return _report(batches, description, total, throughput, len)


def table_console() -> Console:
    """Standard output for tables: as wide as the terminal, and without a limit in a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def say(message: str) -> None:
    """Print one line for the user."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)


def _report(
    items: Iterable[T], description: str, total: int | None, throughput: Throughput, size: Callable[[T], int]
) -> Iterator[T]:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    started = reported = time.monotonic()
    done = throughput.n_before
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, completed=done, speed="")
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            if console.is_terminal:
                bar.update(task, completed=done, speed=throughput.describe(done, now - started))
            elif now - reported > _SECONDS_BETWEEN_LINES:
                reported = now
                state = _state(done, total, (now - started) / max(done - throughput.n_before, 1))
                say(f"{description}: {state} {throughput.describe(done, now - started)}".rstrip())


def _state(done: int, total: int | None, seconds_each: float) -> str:
    """Number of rows done, and the estimated time for the rest."""
    if total is None or done == 0:
        return f"{done} done"
    return f"{done} of {total}, about {(total - done) * seconds_each:.0f} s left"
