"""The training loop, top to bottom."""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.params.training import SettingParams, TrainParams
from spinloop.training.checkpoint import Checkpoint
from spinloop.training.data import Batch, Split, make_batch
from spinloop.training.history import History
from spinloop.training.mixture import SampleStream
from spinloop.training.snapshots import save_snapshot
from spinloop.training.step import Apparatus, StepResult, take_step

# Streams of the run's seed (`training.mixture` has the first two).
_WEIGHTS, _DROPOUT = 2, 3


@dataclass(frozen=True)
class Run:
    """Everything that one training is made of."""

    apparatus: Apparatus
    splits: Mapping[str, Split]
    samples: SampleStream
    image_px: int
    setting: SettingParams
    params: TrainParams
    checkpoint: Checkpoint
    history: History


def train(run: Run) -> Generator[range, None, None]:
    """Train, going on from the checkpoint if there is one.

    Yields:
        The steps, counted from 0, made since the last time: those before the resume at first (none of a fresh
        run), then one at a time.

    Raises:
        UserError: a loss is not finite; the step and the ids of its samples are saved beside the checkpoint.
    """
    params, apparatus, network = run.params, run.apparatus, run.apparatus.network
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    done = _resume(run, optimizer)
    if done == 0:
        _snapshot(run, 0)
    yield range(done)
    network.train()
    for step in range(done + 1, params.n_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(params, step)
        draws = run.samples.step(step - 1)
        batch = make_batch(run.splits, draws, params.augmentation, run.image_px)
        generator = stream(params.seed, _DROPOUT, step)
        result = take_step(apparatus, batch, run.setting, params, step, generator)
        _stop_if_not_finite(run, batch, result, step)
        optimizer.zero_grad(set_to_none=True)
        result.total.backward()
        if params.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), params.gradient_clip)
        optimizer.step()
        run.history.add(step, _values(run, result))
        if step in snapshot_steps(params):
            _snapshot(run, step)
        if step % params.checkpoint_every == 0:
            run.checkpoint.save(_state(run, optimizer, step))
        yield range(step - 1, step)
    network.eval()


def learning_rate(params: TrainParams, step: int) -> float:
    """Learning rate of a step, from 1."""
    if params.schedule == "constant":
        return params.learning_rate
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / params.n_steps))


def snapshot_steps(params: TrainParams) -> range | list[int]:
    """The steps after which the dictionary is copied: 0, every so many, and the last."""
    return sorted({*range(0, params.n_steps + 1, params.snapshot_every), params.n_steps})


def stream(seed: int, *key: int) -> torch.Generator:
    """A generator of its own for a purpose and a step; equal keys give equal numbers on any machine."""
    state = np.random.SeedSequence([seed, *key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def weights_stream(seed: int) -> torch.Generator:
    """The generator of the network's initial weights."""
    return stream(seed, _WEIGHTS)


def _values(run: Run, result: StepResult) -> dict[str, float]:
    """What the history keeps of a step."""
    return {
        "total": result.total.item(),
        **{name: term.item() for name, term in result.terms.items()},
        "accepted": result.is_accepted.float().mean().item(),
        "valid": result.is_valid.float().mean().item(),
        "stored_error": run.apparatus.store.mean_error(),
    }


def _stop_if_not_finite(run: Run, batch: Batch, result: StepResult, step: int) -> None:
    if math.isfinite(result.total.item()):
        return
    path = run.checkpoint.folder / "not_finite.json"
    terms = {name: repr(term.item()) for name, term in result.terms.items()}
    write_json(path, {"step": step, "ids": batch.ids, "terms": terms})
    raise UserError(
        f"{path}: the loss of step {step} is not finite; lower train.learning_rate or clip gradients"
    )


def _snapshot(run: Run, step: int) -> None:
    store = run.apparatus.store
    save_snapshot(run.checkpoint.folder / "snapshots", step, store.array("pose"), store.array("betas"))


def _state(run: Run, optimizer: torch.optim.Optimizer, step: int) -> dict[str, object]:
    return {
        "step": step,
        "network": run.apparatus.network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "fits": run.apparatus.store.state_dict(),
        "history": run.history.state_dict(),
    }


def _resume(run: Run, optimizer: torch.optim.Optimizer) -> int:
    """Load the saved state, if there is one; the number of steps that it has behind it."""
    state = run.checkpoint.load()
    if state is None:
        return 0
    run.apparatus.network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    run.apparatus.store.load_state_dict(state["fits"])
    run.history.load_state_dict(state["history"])
    return state["step"]
