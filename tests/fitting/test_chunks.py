"""Chunks of a batch side by side: nothing of the result depends on the number of threads."""

import threading

import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter, solve_in_chunks
from spinloop.tables.fits import FitResult


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _flat(result):
    parts = [*result.state, result.joints.flatten(1), result.reprojection, result.objective[:, None]]
    return torch.cat([*parts, result.iterations[:, None], result.converged[:, None]], dim=1)


def _numbered(rows):
    n = len(rows)
    state = BodyState(rows.expand(n, 72), torch.zeros(n, 10), torch.zeros(n, 3))
    flags = torch.zeros(n, dtype=torch.bool)
    return FitResult(state, torch.zeros(n, 49, 3), torch.zeros(n, 49), torch.zeros(n), flags.long(), flags)


@pytest.fixture(scope="module")
def solvers(golden, prior, params):
    """Every way to fit a crowd, in few steps and chunks of five."""
    stages = [stage.model_copy(update={"n_iterations": 2}) for stage in params.mean_start.stages]
    few = params.mean_start.model_copy(update={"stages": stages})
    settings = params.model_copy(update={"chunk_size": 5, "n_iterations": 2, "mean_start": few})
    lm = Fitter(golden.body, prior, settings)
    adam = Fitter(golden.body, prior, settings.model_copy(update={"solver": "adam"}))
    return {"lm": lm.fit, "adam": adam.fit, "mean": lambda _, keypoints: lm.fit_from_mean(keypoints)}


@pytest.mark.parametrize("name", ["lm", "adam", "mean"])
def test_the_number_of_threads_does_not_change_a_bit(solvers, crowd, name):
    found = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        found.append(_flat(solvers[name](*crowd)))
        assert torch.get_num_threads() == n_threads
    assert torch.equal(*found)


@pytest.mark.parametrize(("n_threads", "n_chunks"), [(1, 3), (2, 4), (4, 2), (4, 1)])
def test_chunks_run_side_by_side_with_one_thread_each_and_keep_their_order(n_threads, n_chunks):
    torch.set_num_threads(n_threads)
    at_once = min(n_threads, n_chunks)
    # Nobody passes before so many threads are here.
    everybody, seen = threading.Barrier(at_once), set()

    def solve(rows):
        everybody.wait(timeout=60)
        seen.add((threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()))
        return _numbered(rows)

    with torch.no_grad():
        result = solve_in_chunks(solve, [torch.arange(4.0 * n_chunks)[:, None]], 4)
    assert result.state.pose[:, 0].tolist() == list(range(4 * n_chunks))
    assert len(seen) == at_once
    assert all(n == 1 and not has_gradients for _, n, has_gradients in seen)


def test_a_fault_in_a_chunk_comes_out_and_the_threads_are_as_before():
    torch.set_num_threads(2)

    def solve(rows):
        raise FloatingPointError(f"{len(rows)} rows")

    with pytest.raises(FloatingPointError, match="4 rows"):
        solve_in_chunks(solve, [torch.zeros(8, 1)], 4)
    assert torch.get_num_threads() == 2
