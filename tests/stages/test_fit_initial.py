"""The offline fits as commands: parts, resumption, joining, and a user's own keypoints."""

import numpy as np
import pytest

from spinloop.annotations.merge import KEYPOINTS
from spinloop.annotations.table import save_table
from spinloop.body.files import BodyFile, save_body
from spinloop.errors import UserError
from spinloop.fitting.store import FitStore
from spinloop.joints import SMPL_PARENTS
from spinloop.motion.mixture import Mixture, save_mixture
from spinloop.stages import collect_fits, fit, fit_initial


@pytest.fixture(scope="module")
def world(golden, repository, tmp_path_factory):
    """A folder with a body, a prior, keypoints of five people and the project's parameters."""
    folder = tmp_path_factory.mktemp("world")
    arrays = {name: array for name, array in vars(golden.body).items() if name != "J_regressor_h36m"}
    arrays["posedirs"] = np.zeros_like(golden.body.posedirs)
    extra = golden.body.J_regressor_extra
    body = BodyFile(
        **arrays,
        J_regressor_h36m=np.concatenate([extra, extra[:8]]),
        kintree_table=np.array([SMPL_PARENTS, range(24)]),
        f=np.arange(13776 * 3).reshape(-1, 3).astype(np.int32) % 6890,
        part_labels=np.ones(13776, dtype=np.uint8),
        gender="neutral",
    )
    save_body(folder / "body.npz", body)
    save_mixture(folder / "prior.npz", Mixture(golden.means, golden.covars, golden.weights), {})
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(20, 200, (5, 49, 2)), np.ones((5, 49, 1))], axis=-1)
    np.savez(folder / "own.npz", keypoints=keypoints)
    common = {"center": np.array([112.0, 112.0]), "scale": 1.12, "provenance": "matched"}
    rows = [{"id": f"toy/{n}.jpg#0", "keypoints": k, **common} for n, k in enumerate(keypoints)]
    save_table(folder / "keypoints.parquet", KEYPOINTS, rows)
    text = (repository / "params.yaml").read_text().replace("batch_size: 512", "batch_size: 2")
    (folder / "params.yaml").write_text(text)
    return folder


def _inputs(world):
    names = {"body": "body.npz", "prior": "prior.npz", "params": "params.yaml"}
    return {key: world / name for key, name in names.items()}


def _fit_part(world, shard, out):
    keypoints, state = world / "keypoints.parquet", world / ".state"
    fit_initial.run(**_inputs(world), keypoints=keypoints, out=out, shard=shard, state=state)


def test_parts_join_to_everybody_and_leave_no_state(world, tmp_path):
    parts = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for shard, out in enumerate(parts):
        _fit_part(world, shard, out)
    collect_fits.run(part=parts, out=tmp_path / "all.h5")
    fits = FitStore.open(tmp_path / "all.h5")
    assert fits.ids == tuple(f"toy/{n}.jpg#0" for n in range(5))
    assert fits.is_known.all()
    assert not any((world / ".state").rglob("*.h5"))


def test_a_stopped_part_goes_on_and_gives_the_same_file(world, tmp_path, monkeypatch):
    _fit_part(world, 1, tmp_path / "1.h5")
    whole = (tmp_path / "1.h5").read_bytes()
    real, calls = fit_initial.fit_batch, []

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit_initial, "fit_batch", stop_at_the_second)
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


def test_own_keypoints_are_fitted_from_the_mean_and_from_a_start(world, tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    fit.run(**_inputs(world), keypoints=world / "own.npz", out=first)
    fit.run(**_inputs(world), keypoints=world / "own.npz", out=second, start=str(first), iterations=6)
    with np.load(first) as mean, np.load(second) as again:
        assert mean["pose"].shape == (5, 72)
        # Six more steps from there lower the objective; the depth term that it lacks holds the camera.
        assert (again["objective"] <= mean["objective"] * (1 + 1e-4)).all()


def test_commands_that_contradict_themselves_are_refused(world, tmp_path):
    inputs = {**_inputs(world), "keypoints": world / "own.npz", "out": tmp_path / "a.npz"}
    with pytest.raises(UserError, match="--solver"):
        fit.run(**inputs, solver="adam")
    with pytest.raises(UserError, match=r"none\.npz"):
        fit.run(**inputs, start=str(tmp_path / "none.npz"))
