import json

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.motion.mixture import load_mixture
from spinloop.stages.fit_prior import run

PARAMS = """prior:
  motion: {motion}
  n_components: 2
  frames_per_clip: 30
  floor_std_rad: 0.07
  unseen_std_rad: 0.15
  seed: 0
"""


def _params(folder, motion):
    path = folder / "params.yaml"
    path.write_text(PARAMS.format(motion=motion))
    return path


def test_without_motion_the_shipped_mixture_is_copied(tmp_path, repository):
    run(
        out=tmp_path / "prior" / "mixture.npz",
        report=tmp_path / "prior.json",
        params=_params(tmp_path, "null"),
    )
    shipped = repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz"
    assert (tmp_path / "prior" / "mixture.npz").read_bytes() == shipped.read_bytes()
    figures = json.loads((tmp_path / "prior.json").read_text())
    nats = figures["log_likelihood_nats"]
    assert nats["train"] > nats["held_out"] > nats["held_out_single"] + 5
    assert figures["source"] == "shipped"
    assert 0.8 < figures["plausible_samples"] < 1


def test_a_users_motion_is_fitted_and_twice_gives_the_same_bytes(tmp_path):
    motion = tmp_path / "motion"
    motion.mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        poses = 0.2 * rng.normal(size=(60, 156))
        np.savez(motion / f"{number}.npz", poses=poses, mocap_framerate=60.0)
    params = _params(tmp_path, f"[{motion}]")
    for name in ("a.npz", "b.npz"):
        run(out=tmp_path / name, report=tmp_path / f"{name}.json", params=params)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    mixture = load_mixture(tmp_path / "a.npz")
    deviations = np.sqrt(np.einsum("m,mii->i", mixture.weights, mixture.covars))
    np.testing.assert_allclose(deviations[:63].mean(), np.hypot(0.2, 0.07), rtol=0.1)
    np.testing.assert_allclose(deviations[63:], 0.15, rtol=1e-5)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such file or folder; .* prior\.motion"):
        run(
            out=tmp_path / "m.npz",
            report=tmp_path / "m.json",
            params=_params(tmp_path, f"[{tmp_path / 'nowhere'}]"),
        )
    assert not (tmp_path / "m.npz").exists()


def test_too_little_motion_is_refused(tmp_path):
    motion = tmp_path / "motion"
    motion.mkdir()
    np.savez(motion / "a.npz", poses=np.ones((1, 156)), mocap_framerate=60.0)
    with pytest.raises(UserError, match=r"prior\.motion: .*name more motion"):
        run(out=tmp_path / "m.npz", report=tmp_path / "m.json", params=_params(tmp_path, f"[{motion}]"))


def test_motion_without_a_plausible_pose_does_not_become_a_prior(tmp_path, capsys):
    motion = tmp_path / "motion"
    motion.mkdir()
    rng = np.random.default_rng(0)
    backwards = 0.1 * rng.normal(size=(60, 156))
    backwards[:, [12, 15]] = -1.5  # knees bent forwards
    np.savez(motion / "wrong.npz", poses=backwards, mocap_framerate=60.0)
    params = _params(tmp_path, f"[{motion}]")
    with pytest.raises(UserError, match=r"prior\.motion: no frame of wrong is a plausible pose"):
        run(out=tmp_path / "m.npz", report=tmp_path / "m.json", params=params)
    assert not (tmp_path / "m.npz").exists()
    for number in range(6):
        np.savez(motion / f"{number}.npz", poses=0.2 * rng.normal(size=(60, 156)), mocap_framerate=60.0)
    run(out=tmp_path / "m.npz", report=tmp_path / "m.json", params=params)
    assert json.loads((tmp_path / "m.json").read_text())["source"] == "6 clips"
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 7 clips left out, no frame is a plausible pose: wrong" in said
