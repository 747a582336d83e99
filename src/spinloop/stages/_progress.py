"""What a person watches while a stage works through many rows.

On a terminal a bar; elsewhere (a log, a pipe) a plain line now and then.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
S = TypeVar("S", bound=Sized)
_SECONDS_BETWEEN_LINES = 15.0


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The same items, counted for the person who watches (standard error).

    Args:
        items: anything to iterate over.
        description: what is done with them.
        total: how many there are, if known.
    """
    return _watched(items, description, total, "", lambda _: 1)


def rate(items: Iterable[S], description: str, total: int, unit: str) -> Iterator[S]:
    """The same items, their rows counted with how many pass in a second.

    Args:
        items: batches of rows.
        description: what is done with them.
        total: how many rows there are.
        unit: what a row is.
    """
    return _watched(items, description, total, unit, len)


def say(message: str) -> None:
    """One line for the person who watches."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)


def _watched(
    items: Iterable[T], description: str, total: int | None, unit: str, size: Callable[[T], int]
) -> Iterator[T]:
    console = Console(stderr=True, highlight=False)
    speed = TextColumn("{task.fields[speed]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        speed,
        TimeRemainingColumn(),
    )
    started = spoken = time.monotonic()
    done = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, speed="")
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            speed_text = f"{done / max(now - started, 1e-9):.3g} {unit}/s" if unit else ""
            bar.update(task, completed=done, speed=speed_text)
            if not console.is_terminal and now - spoken > _SECONDS_BETWEEN_LINES:
                spoken = now
                say(f"{description}: {_so_far(done, total, now - started)} {speed_text}".rstrip())


def _so_far(done: int, total: int | None, seconds: float) -> str:
    """How much is done, and how long the rest will take if it goes on like this."""
    if total is None or done == 0:
        return f"{done} done"
    return f"{done} of {total}, about {(total - done) * seconds / done:.0f} s left"
