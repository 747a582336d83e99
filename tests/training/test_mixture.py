from collections import Counter

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.params.training import MixtureGroup
from spinloop.training.mixture import SampleStream, split_shares

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


def test_splits_are_drawn_by_their_shares():
    stream = SampleStream(LENGTHS, split_shares(PAPER, LENGTHS), batch_size=100, seed=1)
    counts = Counter(draw.split for step in range(80) for draw in stream.step(step))
    for split, share in split_shares(PAPER, LENGTHS).items():
        # Four standard errors of 8000 draws.
        assert counts[split] / 8000 == pytest.approx(share, abs=4 * (share * (1 - share) / 8000) ** 0.5)


def test_an_epoch_of_one_split_shows_every_row_once():
    stream = SampleStream({"a": 64}, {"a": 1.0}, batch_size=16, seed=0)
    first, second = (
        [draw.row for step in range(4 * e, 4 * e + 4) for draw in stream.step(step)] for e in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(64))
    assert first != second


def test_a_step_is_the_same_whoever_asks_and_whatever_was_asked_before():
    shares = split_shares(PAPER, LENGTHS)
    asked, fresh = (SampleStream(LENGTHS, shares, batch_size=32, seed=7) for _ in range(2))
    for step in range(9):
        asked.step(step)
    for a, b in zip(asked.step(9), fresh.step(9), strict=True):
        assert (a.split, a.row) == (b.split, b.row)
        assert np.array_equal(a.rng.random(5), b.rng.random(5))


def test_samples_and_epochs_have_streams_of_their_own():
    stream = SampleStream({"a": 8}, {"a": 1.0}, batch_size=8, seed=0)
    numbers = [draw.rng.random() for step in (0, 1) for draw in stream.step(step)]
    assert len(set(numbers)) == 16


def test_fewer_rows_than_a_batch_are_refused():
    with pytest.raises(UserError, match=r"^params\.yaml: train\.batch_size: 16"):
        SampleStream({"a": 5}, {"a": 1.0}, batch_size=16, seed=0)
