"""The offline fits as commands: parts, resumption, joining."""

import pytest

from spinloop.errors import UserError
from spinloop.fitting import offline
from spinloop.stages import collect_fits, fit_initial
from spinloop.tables.fits import FitStore


def _inputs(world):
    names = {"body": "body.npz", "prior": "prior.npz", "params": "params.yaml"}
    return {key: world / name for key, name in names.items()}


def _fit_part(world, shard, out, **more):
    keypoints, state = world / "keypoints.parquet", world / ".state"
    fit_initial.run(**_inputs(world), keypoints=keypoints, out=out, shard=shard, state=state, **more)


def test_parts_join_to_the_whole_split_and_leave_no_state(world, tmp_path):
    parts = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for shard, out in enumerate(parts):
        _fit_part(world, shard, out)
    collect_fits.run(part=parts, out=tmp_path / "all.h5")
    fits = FitStore.open(tmp_path / "all.h5")
    assert fits.ids == tuple(f"toy/{n}.jpg#0" for n in range(5))
    assert fits.is_known.all()
    assert not any((world / ".state").rglob("*.h5"))


def test_a_stopped_part_resumes_and_gives_the_same_file(world, tmp_path, monkeypatch):
    _fit_part(world, 1, tmp_path / "1.h5")
    whole = (tmp_path / "1.h5").read_bytes()
    real, calls = offline.fit_batch, []

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(offline, "fit_batch", stop_at_the_second)
    (tmp_path / "1.h5").unlink()
    with pytest.raises(KeyboardInterrupt):
        _fit_part(world, 1, tmp_path / "1.h5")
    assert not (tmp_path / "1.h5").exists()
    _fit_part(world, 1, tmp_path / "1.h5")
    assert len(calls) == 3
    assert (tmp_path / "1.h5").read_bytes() == whole


def test_a_part_that_does_not_exist_is_refused(world, tmp_path):
    with pytest.raises(UserError, match=r"fit_initial\.shards"):
        _fit_part(world, 2, tmp_path / "2.h5")


def test_parts_of_two_starts_are_made_side_by_side(world, tmp_path):
    for start in ("mean", "lifted"):
        _fit_part(world, 0, tmp_path / start / "0.h5", start=start, lifter=world / "lifter.pt")
    mean, lifted = (FitStore.open(tmp_path / start / "0.h5") for start in ("mean", "lifted"))
    assert mean.ids == lifted.ids
    assert (mean.array("pose") != lifted.array("pose")).any(1).all()


def test_a_start_that_is_not_there_is_refused(world, tmp_path):
    with pytest.raises(UserError, match="--lifter"):
        _fit_part(world, 0, tmp_path / "0.h5", start="lifted")
    with pytest.raises(UserError, match="mean or lifted"):
        _fit_part(world, 0, tmp_path / "0.h5", start="best")
