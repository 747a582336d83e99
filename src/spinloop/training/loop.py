"""The training loop, with checkpoints from which a stopped run resumes to the bit."""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.params.training import TrainParams
from spinloop.training.batches import Batch, BatchLoader
from spinloop.training.checkpoint import TrainingCheckpoint
from spinloop.training.losses import weighted_sum
from spinloop.training.monitor import History, Monitor
from spinloop.training.step import StepResult, TrainingContext, train_step

# Random streams of the seed; `training.data` has the first two.
_WEIGHTS_STREAM, _DROPOUT_STREAM = 2, 3


@dataclass(frozen=True)
class TrainingRun:
    """One training, ready to run."""

    context: TrainingContext
    loader: BatchLoader
    checkpoint: TrainingCheckpoint
    history: History
    monitor: Monitor


def train(run: TrainingRun) -> Generator[range, None, None]:
    """Train to the last step, from the checkpoint if there is one.

    Yields:
        The steps, counted from 0, made since the last time: first those before the resume (none in a fresh
        run), then one at a time.

    Raises:
        UserError: the checkpoint is damaged, or is of a later step than the last one; or a loss is not finite
            (its step and the ids of its samples are then saved beside the checkpoint).
    """
    context, network = run.context, run.context.network
    params, is_first = context.params, context.processes.is_first
    done = _resume(run)
    if is_first:
        run.monitor.open(done)
        if done in (0, params.n_steps):  # the last step may have become the last after its checkpoint
            _save_snapshot(run, done)
    yield range(done)
    network.module.train()
    for step, batch in enumerate(run.loader.batches(range(done, params.n_steps), params.workers), done + 1):
        batch = batch.to(network.device)
        result = train_step(context, batch, step, generator_of(params.seed, _DROPOUT_STREAM, step))
        values = _history_values(context, result)
        _require_finite(run, batch, values, step)
        network.update(result.total, learning_rate(params, step))
        row = run.history.add(step, values)
        if is_first:
            if step in snapshot_steps(params):
                _save_snapshot(run, step)
            if step % params.checkpoint_every == 0 or step == params.n_steps:
                run.checkpoint.save(_state(run, step))
            run.monitor.add_sheet(step, batch, result)
            if row is not None:
                run.monitor.log(step, row)
        yield range(step - 1, step)
    network.module.eval()
    run.monitor.close()


def learning_rate(params: TrainParams, step: int) -> float:
    """Learning rate of a step, counted from 1."""
    if params.schedule == "constant":
        return params.learning_rate
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / params.n_steps))


def snapshot_steps(params: TrainParams) -> list[int]:
    """Steps after which a snapshot of the dictionary is taken: 0, every `snapshot_every`, the last."""
    return sorted({*range(0, params.n_steps + 1, params.snapshot_every), params.n_steps})


def generator_of(seed: int, *key: int) -> torch.Generator:
    """An independent generator for a purpose and a step; equal keys give equal numbers on any machine."""
    state = np.random.SeedSequence([seed, *key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def weights_generator(seed: int) -> torch.Generator:
    """The generator of the network's initial weights."""
    return generator_of(seed, _WEIGHTS_STREAM)


def _history_values(context: TrainingContext, result: StepResult) -> dict[str, float]:
    """The values of a step in the training curve, over all processes."""
    params = context.params
    shares = torch.stack([part.float().sum() for part in (result.is_accepted, result.is_valid)])
    shares = context.processes.sum(shares) / params.batch_size
    numbers = torch.stack([weighted_sum(result.terms, params.weights), *result.terms.values(), *shares])
    names = ["total", *result.terms, "accepted", "valid"]
    # One transfer from the device a step, not one a number.
    values = dict(zip(names, numbers.tolist(), strict=True))
    return {**values, "stored_error": context.store.mean_error()}


def _require_finite(run: TrainingRun, batch: Batch, values: Mapping[str, float], step: int) -> None:
    if math.isfinite(values["total"]):
        return
    processes, path = run.context.processes, run.checkpoint.folder / "not_finite.json"
    ids = [key for part in processes.gather(batch.ids) for key in part]
    if processes.is_first:
        terms = {name: repr(value) for name, value in values.items()}
        write_json(path, {"step": step, "ids": ids, "terms": terms})
    raise UserError(
        f"{path}: the loss of step {step} is not finite; lower train.learning_rate or clip gradients"
    )


def _save_snapshot(run: TrainingRun, step: int) -> None:
    store = run.context.store
    run.checkpoint.save_snapshot(step, store.array("pose"), store.array("betas"))


def _state(run: TrainingRun, step: int) -> dict[str, Any]:
    return {
        "step": step,
        **run.context.network.state_dict(),
        "fits": run.context.store.state_dict(),
        "anchor": run.context.anchor.state_dict(),
        "history": run.history.state_dict(),
    }


def _resume(run: TrainingRun) -> int:
    """Load the checkpoint, if there is one; returns the number of steps done."""

    def load(state: dict[str, Any]) -> int:
        run.context.network.load_state_dict(state)
        run.context.store.load_state_dict(state["fits"])
        run.context.anchor.load_state_dict(state["anchor"])
        run.history.load_state_dict(state["history"])
        return state["step"]

    processes, n_steps = run.context.processes, run.context.params.n_steps
    done = run.checkpoint.restore(load) if processes.is_first else None
    processes.gather(None)  # no process looks into the state before the first has found it good
    done = (done if processes.is_first else run.checkpoint.restore(load)) or 0
    if done > n_steps:
        raise run.checkpoint.refusal([f"train.n_steps: {n_steps}, but {done} are done"])
    return done
