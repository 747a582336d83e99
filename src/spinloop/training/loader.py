"""Batches made ahead of time; the same stream whoever makes them, and however many."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from spinloop.errors import UserError
from spinloop.params.training import AugmentationParams
from spinloop.training.data import Batch, Look, Split, make_batch
from spinloop.training.mixture import SampleStream
from spinloop.training.processes import Processes


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
