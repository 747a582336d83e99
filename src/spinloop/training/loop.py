"""Batches made ahead of time; the same stream whoever makes them, and however many.

The training loop, top to bottom.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.params.training import AugmentationParams, SettingParams, TrainParams
from spinloop.training.checkpoint import Checkpoint, save_snapshot
from spinloop.training.data import Batch, Look, Split, make_batch
from spinloop.training.distributed import Processes
from spinloop.training.mixture import SampleStream
from spinloop.training.monitor import History, Watch
from spinloop.training.step import Apparatus, StepResult, take_step, weigh


@dataclass(frozen=True)
class Batches:
    """This process's share of the batch of every step."""

    splits: Mapping[str, Split]
    samples: SampleStream
    augmentation: AugmentationParams
    look: Look
    processes: Processes

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, counted from 0: it follows from the run's seed and the step alone."""
        draws = self.samples.step(step)
        share = self.processes.share(len(draws))
        return make_batch(self.splits, draws[share], self.augmentation, self.look)

    def stream(self, steps: range, workers: int) -> Iterator[Batch]:
        """The batches of some steps, in order.

        Args:
            steps: counted from 0.
            workers: processes that make them ahead; 0 makes each when it is asked for.
        """
        options = {"multiprocessing_context": "fork", "worker_init_fn": _settle} if workers else {}
        loader = DataLoader(
            _Told(self),
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=self.processes.device.type == "cuda",
            # It would draw from the global generator.
            generator=torch.Generator(),
            **options,
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch


@dataclass(frozen=True)
class _Told(Dataset[Batch | UserError]):
    """Batches, or what is wrong with them: an error that crosses processes would lose its one line."""

    batches: Batches

    def __getitem__(self, step: int) -> Batch | UserError:
        try:
            return self.batches[step]
        except UserError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _settle(_worker: int) -> None:
    # OpenCV's threads do not live on in a forked process, and workers are many anyway.
    cv2.setNumThreads(0)


# Streams of the run's seed (`training.mixture` has the first two).
_WEIGHTS, _DROPOUT = 2, 3


@dataclass(frozen=True)
class Run:
    """Everything that one training is made of."""

    apparatus: Apparatus
    batches: Batches
    setting: SettingParams
    params: TrainParams
    checkpoint: Checkpoint
    history: History
    watch: Watch

    @property
    def processes(self) -> Processes:
        """Who trains."""
        return self.apparatus.machine.processes


def train(run: Run) -> Generator[range, None, None]:
    """Train, going on from the checkpoint if there is one.

    Yields:
        The steps, counted from 0, made since the last time: those before the resume at first (none of a fresh
        run), then one at a time.

    Raises:
        UserError: a loss is not finite; the step and the ids of its samples are saved beside the checkpoint.
    """
    params, apparatus, network = run.params, run.apparatus, run.apparatus.network
    machine, is_first = apparatus.machine, run.processes.is_first
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    done = _resume(run, optimizer)
    if is_first:
        run.watch.begin(done)
        if done == 0:
            _snapshot(run, 0)
    yield range(done)
    network.train()
    for step, batch in enumerate(run.batches.stream(range(done, params.n_steps), params.workers), done + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(params, step)
        batch = batch.to(machine.device)
        generator = stream(params.seed, _DROPOUT, step)
        result = take_step(apparatus, batch, run.setting, params, step, generator)
        values = _values(run, result)
        _stop_if_not_finite(run, batch, values, step)
        machine.learn(result.total, optimizer, params.gradient_clip)
        row = run.history.add(step, values)
        if is_first:
            _keep(run, optimizer, step)
            run.watch.see(step, batch, result)
            if row is not None:
                run.watch.log(step, row)
        yield range(step - 1, step)
    network.eval()
    run.watch.end()


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
    """What the history keeps of a step, of all processes together."""
    shares = torch.stack([part.float().sum() for part in (result.is_accepted, result.is_valid)])
    shares = run.processes.sum(shares) / run.params.batch_size
    numbers = torch.stack([weigh(result.terms, run.params.weights), *result.terms.values(), *shares])
    names = ["total", *result.terms, "accepted", "valid"]
    # One copy from the device a step, not one a number.
    values = dict(zip(names, numbers.tolist(), strict=True))
    return {**values, "stored_error": run.apparatus.store.mean_error()}


def _stop_if_not_finite(run: Run, batch: Batch, values: Mapping[str, float], step: int) -> None:
    if math.isfinite(values["total"]):
        return
    path = run.checkpoint.folder / "not_finite.json"
    ids = [key for part in run.processes.gather(batch.ids) for key in part]
    if run.processes.is_first:
        terms = {name: repr(value) for name, value in values.items()}
        write_json(path, {"step": step, "ids": ids, "terms": terms})
    raise UserError(
        f"{path}: the loss of step {step} is not finite; lower train.learning_rate or clip gradients"
    )


def _keep(run: Run, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Copy the dictionary and save the state, where it is time to."""
    if step in snapshot_steps(run.params):
        _snapshot(run, step)
    if step % run.params.checkpoint_every == 0:
        run.checkpoint.save(_state(run, optimizer, step))


def _snapshot(run: Run, step: int) -> None:
    store = run.apparatus.store
    save_snapshot(run.checkpoint.folder / "snapshots", step, store.array("pose"), store.array("betas"))


def _state(run: Run, optimizer: torch.optim.Optimizer, step: int) -> dict[str, object]:
    return {
        "step": step,
        "network": run.apparatus.network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": run.apparatus.machine.scaler.state_dict(),
        "fits": run.apparatus.store.state_dict(),
        "anchor": run.apparatus.anchor.state_dict(),
        "history": run.history.state_dict(),
    }


def _resume(run: Run, optimizer: torch.optim.Optimizer) -> int:
    """Load the saved state, if there is one; the number of steps that it has behind it."""
    state = run.checkpoint.load()
    if state is None:
        return 0
    run.apparatus.network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    run.apparatus.machine.scaler.load_state_dict(state["scaler"])
    run.apparatus.store.load_state_dict(state["fits"])
    run.apparatus.anchor.load_state_dict(state["anchor"])
    run.history.load_state_dict(state["history"])
    return state["step"]
