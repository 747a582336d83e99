"""Work in pieces of a fixed size, on several processes, with results in order.

A piece, not a picture, is what a process takes, because the poses of a piece are drawn together. Its size is
a constant: it decides what is drawn, the number of processes never does.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from spinloop.body.engine import Engine
from spinloop.body.files import load_body
from spinloop.mirror.people import Cast
from spinloop.motion.mixture import Mixture, load_mixture

PIECE = 32

Task = TypeVar("Task")
Result = TypeVar("Result")


class Studio(NamedTuple):
    """The files that every process needs, and what poses the bodies."""

    bodies: tuple[Path, ...]
    mixture: Path
    engine: Engine


@lru_cache(maxsize=1)
def open_studio(studio: Studio) -> tuple[Cast, Mixture]:
    """The bodies and the poses, read once per process."""
    cast = Cast.of([load_body(path) for path in studio.bodies], studio.engine)
    return cast, load_mixture(studio.mixture)


def run_pieces(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of `function` on each task, in the tasks' order.

    Args:
        function: a module's function; it and the tasks must be picklable.
        tasks: one per piece.
        workers: processes; 1 works in this one.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(tasks)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap(function, tasks)
