"""Fits of a split: the right rows, the right frame, resumed without differences."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.fitting.offline import (
    finished_batches,
    fit_batch,
    join_parts,
    keypoint_batches,
    part_files,
    shard_rows,
)
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.params.fitting import FitInitialParams, LiftedStartParams
from spinloop.resume import MadeFrom, State
from spinloop.tables.fits import STATUSES, BestFit, FitStore
from spinloop.tables.table import save_table


@pytest.fixture(scope="module")
def rules():
    return FitInitialParams(
        start="mean",
        lifted_start=LiftedStartParams(n_iterations=5, anchor_weight=30.0),
        shards=[0, 1],
        batch_size=5,
        min_joints=6,
        max_reprojection=400.0,
        max_beta=3.0,
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory, crowd):
    """The crowd in images three times the crop's size; of one person only two joints are seen."""
    path = tmp_path_factory.mktemp("table") / "keypoints.parquet"
    keypoints = crowd[1].numpy().copy()
    keypoints[4, 2:] = 0
    keypoints[4, :2, 2] = 1
    rows = []
    for number, person in enumerate(keypoints):
        seen = person[:, 2:] > 0
        pixels = np.where(seen, (person[:, :2] - 112) * 3 + (400, 300), 0)
        row = {"id": f"toy/{number}.jpg#0", "center": np.array([400.0, 300.0]), "scale": 3 * 224 / 200}
        rows.append({**row, "keypoints": np.concatenate([pixels, person[:, 2:]], 1), "provenance": "matched"})
    save_table(path, KEYPOINTS, rows)
    return path


@pytest.mark.parametrize(("n_rows", "n_shards"), [(12, 5), (3, 4), (0, 2), (300_000, 7)])
def test_shards_cover_every_row_once(n_rows, n_shards):
    parts = [shard_rows(n_rows, shard, n_shards) for shard in range(n_shards)]
    assert [row for part in parts for row in part] == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_batches_read_their_rows_in_the_crops_frame(table, crowd):
    batches = list(keypoint_batches(table, range(2, 9), 3))
    assert [len(batch.ids) for batch in batches] == [3, 3, 1]
    assert [id_ for batch in batches for id_ in batch.ids] == [f"toy/{n}.jpg#0" for n in range(2, 9)]
    seen = torch.cat([batch.keypoints for batch in batches])[3]
    expected = torch.where(crowd[1][5, :, 2:] > 0, crowd[1][5], 0)
    there = expected[:, 2] > 0
    torch.testing.assert_close(seen[there], expected[there], atol=1e-3, rtol=0)


def test_statuses_and_errors_of_a_batch(fitter, table, rules):
    (batch,) = keypoint_batches(table, range(12), 12)
    store = fit_batch(fitter, batch, fitter.fit_from_mean, rules)
    status = [STATUSES[code] for code in store.array("status")]
    assert status[4] == "too_few_joints"
    assert not store.is_known[4]
    assert store.is_known.sum() == 11
    known = store.get(batch.ids)
    errors = fitter.reprojection(known.state, batch.keypoints).mean(-1)
    torch.testing.assert_close(known.error[known.is_known], errors[known.is_known])
    strict = rules.model_copy(update={"max_reprojection": 1e-6})
    rejected = fit_batch(fitter, batch, fitter.fit_from_mean, strict).array("status")
    assert STATUSES[rejected[0]] in ("rejected_reprojection", "shape_out_of_range")


def test_a_stopped_run_resumes_and_gives_the_same_fits(fitter, table, rules, tmp_path):
    calls = []

    def fit(batch):
        calls.append(batch.ids)
        return fit_batch(fitter, batch, fitter.fit_from_mean, rules)

    def batches():
        return keypoint_batches(table, range(12), 5)

    whole = FitStore.join(
        list(finished_batches(State(tmp_path / "whole", MadeFrom({}), "fit"), batches(), fit))
    )
    state = State(tmp_path / "stopped", MadeFrom({}), "fit")
    stopped = finished_batches(state, batches(), fit)
    next(stopped)
    stopped.close()
    calls.clear()
    resumed = FitStore.join(list(finished_batches(state, batches(), fit)))
    assert [len(ids) for ids in calls] == [5, 2]
    assert all(torch.equal(resumed.state_dict()[name], part) for name, part in whole.state_dict().items())


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
    np.testing.assert_array_equal(joined.status_counts, np.bincount(expected.array("status"), minlength=7))


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


def test_no_parts_join_to_an_empty_store(tmp_path):
    join_parts([], tmp_path / "none.h5")
    assert len(FitStore.open(tmp_path / "none.h5")) == 0


def test_a_folder_without_parts_is_refused(tmp_path):
    with pytest.raises(UserError, match="no part"):
        part_files([tmp_path])
