"""A batch solved in chunks, side by side on the processor's cores.

Fits are made of many small operations. Threads inside each operation wait for each other longer than they
work, so every chunk has one thread. The chunks and their order do not depend on the number of threads, and
neither does a bit of the result.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from spinloop.fitting.fit import FitResult, join_results


def solve_in_chunks(solve: Callable[..., FitResult], tensors: list[Tensor], size: int) -> FitResult:
    """Solve rows of a batch chunk by chunk; on a processor by as many threads as torch has here.

    Args:
        solve: a chunk of each tensor to its fits; without gradients.
        tensors: all with the same number of rows, on one device.
        size: rows of a chunk; the last one may be smaller.
    """
    chunks = list(zip(*(tensor.split(size) for tensor in tensors), strict=True))
    if tensors[0].device.type != "cpu":
        return join_results([solve(*chunk) for chunk in chunks])
    with _one_thread_each() as n_threads:
        n_workers = min(n_threads, len(chunks))
        if n_workers == 1:
            return join_results([solve(*chunk) for chunk in chunks])
        # Settings of torch belong to a thread: new ones must be told both.
        with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return join_results(list(pool.map(lambda chunk: _without_gradients(solve, chunk), chunks)))


def _without_gradients(solve: Callable[..., FitResult], chunk: tuple[Tensor, ...]) -> FitResult:
    with torch.no_grad():
        return solve(*chunk)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """One thread for every operation; gives the number there was before, and sets it again."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)
