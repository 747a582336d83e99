from collections import Counter

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.params.training import MixtureGroup
from spinloop.training.data import MixtureSampler, split_shares

LENGTHS = {"h36m_train": 400, "lsp_train": 10, "mpii_train": 30, "mpi_inf_3dhp_train": 100}
PAPER = [
    MixtureGroup(splits=["h36m_train"], probability=0.3),
    MixtureGroup(splits=["lsp_train", "mpii_train"], probability=0.6),
    MixtureGroup(splits=["mpi_inf_3dhp_train"], probability=0.1),
]


def test_a_group_is_divided_by_length():
    shares = split_shares(PAPER, LENGTHS)
    assert shares == pytest.approx(
        {"h36m_train": 0.3, "lsp_train": 0.15, "mpii_train": 0.45, "mpi_inf_3dhp_train": 0.1}
    )


def test_splits_are_sampled_by_their_shares():
    sampler = MixtureSampler(LENGTHS, split_shares(PAPER, LENGTHS), batch_size=100, seed=1)
    counts = Counter(sample.split for step in range(80) for sample in sampler.samples(step))
    for split, share in split_shares(PAPER, LENGTHS).items():
        # Four standard errors of 8000 samples.
        assert counts[split] / 8000 == pytest.approx(share, abs=4 * (share * (1 - share) / 8000) ** 0.5)


def test_an_epoch_of_one_split_shows_every_row_once():
    sampler = MixtureSampler({"a": 64}, {"a": 1.0}, batch_size=16, seed=0)
    first, second = (
        [sample.row for step in range(4 * e, 4 * e + 4) for sample in sampler.samples(step)] for e in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(64))
    assert first != second


def test_a_step_does_not_depend_on_earlier_calls():
    shares = split_shares(PAPER, LENGTHS)
    asked, fresh = (MixtureSampler(LENGTHS, shares, batch_size=32, seed=7) for _ in range(2))
    for step in range(9):
        asked.samples(step)
    for a, b in zip(asked.samples(9), fresh.samples(9), strict=True):
        assert (a.split, a.row) == (b.split, b.row)
        assert np.array_equal(a.rng.random(5), b.rng.random(5))


def test_samples_and_epochs_have_independent_streams():
    sampler = MixtureSampler({"a": 8}, {"a": 1.0}, batch_size=8, seed=0)
    numbers = [sample.rng.random() for step in (0, 1) for sample in sampler.samples(step)]
    assert len(set(numbers)) == 16


def test_fewer_rows_than_a_batch_are_refused():
    with pytest.raises(UserError, match=r"^params\.yaml: train\.batch_size: 16"):
        MixtureSampler({"a": 5}, {"a": 1.0}, batch_size=16, seed=0)
