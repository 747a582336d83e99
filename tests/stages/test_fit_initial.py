"""The offline fits as commands: parts, resumption, joining."""

import shutil

import pytest
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.fitting import offline
from spinloop.stages import collect_fits, fit_initial
from spinloop.tables.fits import FitStore


def _inputs(world):
    names = {"body": "body.npz", "prior": "prior.npz", "params": "params.yaml"}
    return {key: world / name for key, name in names.items()}


def _fit_part(world, shard, out, **more):
    keypoints, state = world / "keypoints.parquet", world / ".state"
    arguments = {**_inputs(world), **more}
    fit_initial.run(**arguments, keypoints=keypoints, out=out, shard=shard, state=state)


def test_parts_join_to_the_whole_split_and_leave_no_state(world, tmp_path):
    parts = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for shard, out in enumerate(parts):
        _fit_part(world, shard, out)
    collect_fits.run(part=parts, out=tmp_path / "all.h5")
    fits = FitStore.open(tmp_path / "all.h5")
    assert fits.ids == tuple(f"toy/{n}.jpg#0" for n in range(5))
    assert fits.is_known.all()
    assert not any((world / ".state").rglob("*.h5"))


@pytest.fixture
def stopped(world, tmp_path, monkeypatch):
    """Part 1 has stopped at its second batch; the batches fitted so far, and what the whole part is."""
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
    yield calls, whole
    shutil.rmtree(world / ".state")


def test_a_stopped_part_resumes_and_gives_the_same_file(world, tmp_path, stopped):
    calls, whole = stopped
    _fit_part(world, 1, tmp_path / "1.h5")
    assert len(calls) == 3
    assert (tmp_path / "1.h5").read_bytes() == whole


def test_a_damaged_batch_is_fitted_again_and_kept_aside(world, tmp_path, stopped, capfd):
    calls, whole = stopped
    (batch,) = (world / ".state").rglob("000000.h5")
    batch.write_bytes(batch.read_bytes()[:700])
    _fit_part(world, 1, tmp_path / "1.h5")
    assert len(calls) == 4
    assert (tmp_path / "1.h5").read_bytes() == whole
    assert "000000.h5: damaged (" in "".join(capfd.readouterr())
    assert len(list((world / ".state").rglob("*.damaged-1/000000.h5"))) == 1


def test_other_values_of_the_fits_are_refused_by_name(world, tmp_path, stopped):
    yaml = YAML(typ="safe")
    params = yaml.load(world / "params.yaml")
    params["fitting"]["sigma_px"] *= 2
    params["fit_initial"]["lifted_start"]["n_iterations"] += 1  # not of this start
    yaml.dump(params, tmp_path / "params.yaml")
    with pytest.raises(
        UserError, match=r"other values: fitting\.sigma_px: \S+ → \S+; its state is now .*old-1"
    ):
        _fit_part(world, 1, tmp_path / "1.h5", params=tmp_path / "params.yaml")
    assert len(list((world / ".state").rglob("*.old-1/000000.h5"))) == 1


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
    with pytest.raises(UserError, match="mean or lifted"):
        _fit_part(world, 0, tmp_path / "0.h5", start="best")
