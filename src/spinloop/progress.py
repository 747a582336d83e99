"""What a person watches while a stage works through many rows.

On a terminal a bar; elsewhere (a log, a pipe) a plain line now and then.
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
_UNCUT = 10_000


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The same items, counted for the person who watches (standard error).

    Args:
        items: anything to iterate over.
        description: what is done with them.
        total: how many there are, if known.
    """
    return _watched(items, description, total, Pace(""), lambda _: 1)


@dataclass(frozen=True)
class Pace:
    """What is said of the speed."""

    unit: str
    """What is counted in a second."""
    n_each: int = 1
    """How many of them a row has."""
    n_before: int = 0
    """Rows that were done before the clock started."""
    note: Callable[[], str] = str
    """Further words, asked for when they are shown."""

    def words(self, n_done: int, seconds: float) -> str:
        """The speed, and the note."""
        speed = f"{(n_done - self.n_before) * self.n_each / max(seconds, 1e-9):.3g} {self.unit}/s"
        return ", ".join(filter(None, [speed if self.unit else "", self.note()]))


def rate(items: Iterable[S], description: str, total: int, pace: Pace | str) -> Iterator[S]:
    """The same items, their rows counted with how many pass in a second.

    Args:
        items: batches of rows.
        description: what is done with them.
        total: how many rows there are.
        pace: what is said of the speed; a text is what a row is called.
    """
    return _watched(items, description, total, Pace(pace) if isinstance(pace, str) else pace, len)


def table_console() -> Console:
    """Standard output for tables: as wide as the terminal; in a pipe so wide that nothing is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=_UNCUT)


def say(message: str) -> None:
    """One line for the person who watches."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)


def _watched(
    items: Iterable[T], description: str, total: int | None, pace: Pace, size: Callable[[T], int]
) -> Iterator[T]:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    started = spoken = time.monotonic()
    done = pace.n_before
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, completed=done, speed="")
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            if console.is_terminal:
                bar.update(task, completed=done, speed=pace.words(done, now - started))
            elif now - spoken > _SECONDS_BETWEEN_LINES:
                spoken = now
                left = _so_far(done, total, (now - started) / max(done - pace.n_before, 1))
                say(f"{description}: {left} {pace.words(done, now - started)}".rstrip())


def _so_far(done: int, total: int | None, seconds_each: float) -> str:
    """How much is done, and how long the rest will take if it goes on like this."""
    if total is None or done == 0:
        return f"{done} done"
    return f"{done} of {total}, about {(total - done) * seconds_each:.0f} s left"
