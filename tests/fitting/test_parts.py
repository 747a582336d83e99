"""Parts joined on disk are what parts joined in memory are."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.fitting.offline import join_parts, part_files
from spinloop.tables.fits import BestFit, FitStore


@pytest.fixture
def parts(tmp_path):
    """Twelve parts, named by their numbers, of 0 to 11 people; every other person has a fit."""
    rng = np.random.default_rng(0)
    for number in range(12):
        store = FitStore([f"{number}/{person}" for person in range(number)])
        state = BodyState(*(torch.tensor(rng.random((number, n))).float() for n in (72, 10, 3)))
        known = torch.arange(number) % 2 == 0
        status = torch.arange(number) % 3 + 1
        store.put(store.ids, None, BestFit(state, state.pose[:, 0], known, known), "initial", 0, status)
        store.save(tmp_path / "parts" / f"{number}.h5")
    return tmp_path / "parts"


def test_joined_on_disk_is_joined_in_memory(parts, tmp_path):
    files = part_files([parts])
    assert [int(file.stem) for file in files] == list(range(12))
    joined = join_parts(files, tmp_path / "all.h5")
    found, expected = FitStore.open(tmp_path / "all.h5"), FitStore.join([FitStore.open(f) for f in files])
    assert found.ids == expected.ids
    assert all(torch.equal(found.state_dict()[name], part) for name, part in expected.state_dict().items())
    assert (joined.n_people, joined.n_known) == (66, int(expected.is_known.sum()))
    np.testing.assert_array_equal(joined.statuses, np.bincount(expected.array("status"), minlength=7))


def test_the_same_parts_give_the_same_bytes(parts, tmp_path):
    for name in ("a.h5", "b.h5"):
        join_parts(part_files([parts]), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_person_in_two_parts_is_refused_and_nothing_is_written(parts, tmp_path):
    again = parts / "again.h5"
    again.write_bytes((parts / "3.h5").read_bytes())
    with pytest.raises(UserError, match=r"again\.h5: 3/0: also in .*3\.h5"):
        join_parts(part_files([parts]), tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_nobody_is_a_store_too(tmp_path):
    join_parts([], tmp_path / "none.h5")
    assert len(FitStore.open(tmp_path / "none.h5")) == 0


def test_a_folder_without_parts_is_refused(tmp_path):
    with pytest.raises(UserError, match="no part"):
        part_files([tmp_path])
