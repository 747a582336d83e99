"""From which split the samples of an epoch come, and in which order: seeded, the same on any machine."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.params.training import MixtureGroup

# Streams of the run's seed; equal seeds for different purposes would be the same numbers.
_ORDER, _SAMPLE = 0, 1


class Draw(NamedTuple):
    """One sample of an epoch."""

    split: str
    """Where it comes from."""
    row: int
    """Its row in that split."""
    rng: np.random.Generator
    """Its own generator: the same whichever process asks for it."""


def split_shares(groups: Sequence[MixtureGroup], lengths: Mapping[str, int]) -> dict[str, float]:
    """Probability of each split: a group's probability, divided among its splits by their sizes.

    Args:
        groups: section `train.mixture`.
        lengths: rows of each of its splits, at least one.
    """
    shares = {}
    for group in groups:
        rows = sum(lengths[split] for split in group.splits)
        for split in group.splits:
            shares[split] = group.probability * lengths[split] / rows
    return shares


class SampleStream:
    """The samples of every step of a run.

    An epoch is as long as the longest split and shuffled; its last incomplete batch is dropped. Sample
    `index` of an epoch draws its split from its own generator and takes row `index` modulo that split's
    length.

    Args:
        lengths: rows of each split.
        shares: probability of each split.
        batch_size: samples of a step.
        seed: of the run.

    Raises:
        UserError: the longest split does not fill a batch.

    Source:
        SPIN's `datasets/mixed_dataset.py`, with a generator per sample and one permutation per epoch.
    """

    def __init__(self, lengths: Mapping[str, int], shares: Mapping[str, float], batch_size: int, seed: int):
        self._names = [name for name in sorted(shares) if shares[name] > 0]
        self._lengths = dict(lengths)
        self._edges = self._cumulative(shares)
        self._length = max(lengths[name] for name in self._names)
        self._batch_size = batch_size
        self._seed = seed
        self._steps_per_epoch = self._length // batch_size
        if self._steps_per_epoch == 0:
            raise UserError(
                f"params.yaml: train.batch_size: {batch_size} samples, but the longest split has only "
                f"{self._length} rows; lower it"
            )

    def step(self, step: int) -> list[Draw]:
        """The samples of a step, counted from 0."""
        epoch, position = divmod(step, self._steps_per_epoch)
        start = position * self._batch_size
        order = self._order(epoch)[start : start + self._batch_size]
        return [self._draw(epoch, int(index)) for index in order]

    def _order(self, epoch: int) -> Int[np.ndarray, " N"]:
        return np.random.default_rng([self._seed, _ORDER, epoch]).permutation(self._length)

    def _draw(self, epoch: int, index: int) -> Draw:
        rng = np.random.default_rng([self._seed, _SAMPLE, epoch, index])
        name = self._names[int(np.searchsorted(self._edges, rng.random(), side="right"))]
        return Draw(name, index % self._lengths[name], rng)

    def _cumulative(self, shares: Mapping[str, float]) -> Float[np.ndarray, " S"]:
        edges = np.cumsum([shares[name] for name in self._names])
        # Rounding must not leave a gap at the end.
        edges[-1] = 1.0
        return edges
