"""A user's own keypoints and photographs, from the command to the file."""

import json
import pickle

import cv2
import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.lifting.network import PACKAGED_LIFTER
from spinloop.motion.mixture import PACKAGED_MIXTURE
from spinloop.stages import fit
from spinloop.tables.fits import STATUSES

PROMISED = {
    "ids",
    "pose",
    "betas",
    "cam_t",
    "joints",
    "reprojection",
    "objective",
    "status",
    "iterations",
    "seconds",
}


def _inputs(world):
    names = {"body": "body.npz", "prior": "prior.npz", "params": "params.yaml"}
    return {key: world / name for key, name in names.items()}


@pytest.fixture
def openpose(tmp_path):
    """A photograph with two people."""
    rng = np.random.default_rng(1)
    people = [
        {
            "pose_keypoints_2d": np.ravel(
                np.hstack([rng.uniform(50, 250, (25, 2)), np.full((25, 1), 0.7)])
            ).tolist()
        }
        for _ in range(2)
    ]
    (tmp_path / "op").mkdir()
    (tmp_path / "img").mkdir()
    (tmp_path / "op/a_keypoints.json").write_text(json.dumps({"people": people}))
    cv2.imwrite(str(tmp_path / "img/a.jpg"), np.full((300, 300, 3), 90, np.uint8))
    return {"openpose": tmp_path / "op", "images": tmp_path / "img"}


def test_own_keypoints_are_fitted_from_the_mean_and_from_a_start(world, tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    fit.run(**_inputs(world), keypoints=world / "own.npz", out=first)
    fit.run(**_inputs(world), keypoints=world / "own.npz", out=second, start=str(first), iterations=6)
    with np.load(first) as mean, np.load(second) as again:
        assert set(mean.files) == PROMISED
        assert mean["pose"].shape == (5, 72)
        # Six more steps from there lower the objective; the depth term that it lacks holds the camera.
        assert (again["objective"] <= mean["objective"] * (1 + 1e-4)).all()


def test_a_start_in_the_keypoints_file_is_taken_unless_another_is_named(world, tmp_path):
    inputs = {key: value for key, value in _inputs(world).items() if key != "prior"}
    with np.load(world / "own.npz") as own:
        np.savez(tmp_path / "k.npz", keypoints=own["keypoints"], pose=np.full((5, 72), 0.1))
    found = {}
    for name, start in (("own", ""), ("mean", "mean"), ("same", str(tmp_path / "k.npz"))):
        out = tmp_path / f"{name}.npz"
        fit.run(**inputs, keypoints=tmp_path / "k.npz", out=out, start=start, iterations=1)
        with np.load(out) as fits:
            found[name] = fits["pose"]
    np.testing.assert_array_equal(found["own"], found["same"])
    assert np.abs(found["own"] - found["mean"]).max() > 0.1


@pytest.mark.parametrize("solver", ["lm", "adam"])
def test_lifted_keypoints_are_fitted(world, tmp_path, solver):
    out = tmp_path / "fits.npz"
    more = {"lifter": world / "lifter.pt", "solver": solver, "iterations": 2}
    fit.run(**_inputs(world), keypoints=world / "own.npz", out=out, **more)
    with np.load(out) as fits:
        assert all(np.isfinite(fits[key]).all() for key in PROMISED - {"ids", "status"})
        assert set(fits["status"]) <= set(STATUSES)


def test_the_lifter_and_the_prior_of_the_package_are_the_default(world, tmp_path):
    inputs = {"body": world / "body.npz", "params": world / "params.yaml", "keypoints": world / "own.npz"}
    given = {"prior": PACKAGED_MIXTURE, "lifter": PACKAGED_LIFTER, "objective": "detections"}
    found = []
    for more in ({}, given, given | {"lifter": world / "lifter.pt"}, {"objective": "published"}):
        fit.run(**inputs, out=tmp_path / "fits.npz", **more)
        with np.load(tmp_path / "fits.npz") as fits:
            found.append(fits["pose"])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1
    assert np.abs(found[0] - found[3]).max() > 0.1
    assert PACKAGED_LIFTER.stat().st_size + PACKAGED_MIXTURE.stat().st_size < 5e6


def test_openpose_folders_are_fitted_and_rendered(world, openpose, tmp_path):
    fit.run(**_inputs(world), **openpose, out=tmp_path / "fits.npz", iterations=1)
    with np.load(tmp_path / "fits.npz") as fits:
        assert fits["ids"].tolist() == ["a#0", "a#1"]
    picture = cv2.imread(str(tmp_path / "fits_overlays/a.jpg"))
    assert picture.shape == (300, 300, 3)
    assert np.abs(picture.astype(int) - 90).max() > 60


def test_openpose_alone_is_fitted_with_a_body_of_smpls_own_format(world, golden, openpose, tmp_path):
    with np.load(world / "body.npz") as body:
        keys = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
        (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps({key: body[key] for key in keys}))
    prior = {"means": golden.means, "covars": golden.covars, "weights": golden.weights}
    (tmp_path / "gmm_08.pkl").write_bytes(pickle.dumps(prior))
    inputs = {"body": tmp_path / "SMPL_NEUTRAL.pkl", "prior": tmp_path / "gmm_08.pkl"}
    out = tmp_path / "fits.npz"
    fit.run(**inputs, params=world / "params.yaml", openpose=openpose["openpose"], out=out, iterations=1)
    with np.load(out) as fits:
        assert fits["pose"].shape == (2, 72)
    with pytest.raises(UserError, match="J_regressor_extra"):
        fit.run(**inputs, params=world / "params.yaml", keypoints=world / "own.npz", out=out)


def test_people_who_cannot_be_fitted_have_their_statuses(world, tmp_path):
    with np.load(world / "own.npz") as own:
        keypoints = own["keypoints"].copy()
    keypoints[0, :, 2] = 0
    keypoints[1, 3:, 2] = 0
    keypoints[2, :, :2] += 1000
    keypoints[3] = np.nan
    np.savez(tmp_path / "k.npz", keypoints=keypoints)
    fit.run(**_inputs(world), keypoints=tmp_path / "k.npz", out=tmp_path / "fits.npz", iterations=1)
    with np.load(tmp_path / "fits.npz") as fits:
        few = "too_few_joints"
        assert fits["status"][:4].tolist() == [few, few, "outside_crop", few]
        # Random points are no one's joints.
        assert fits["status"][4] in ("rejected_reprojection", "shape_out_of_range")
        assert all(np.isfinite(fits[key]).all() for key in PROMISED - {"ids", "status"})


def test_commands_that_contradict_themselves_are_refused(world, openpose, tmp_path):
    inputs = {**_inputs(world), "out": tmp_path / "a.npz"}
    own = {**inputs, "keypoints": world / "own.npz"}
    for message, wrong in {
        "--solver adam": {**own, "solver": "adam", "start": "mean"},
        "--objective detections": {**own, "solver": "adam", "objective": "detections"},
        r"none\.npz": {**own, "start": str(tmp_path / "none.npz")},
        "--start men: no such file; give mean, lifted or an npz": {**own, "start": "men"},
        "--device gpu: expected cpu or cuda": {**own, "device": "gpu"},
        "--device meta: expected cpu or cuda": {**own, "device": "meta"},
        "--device cuda:x: expected cpu or cuda": {**own, "device": "cuda:x"},
        "--device cuda:99: no such device here, .*; use --device cpu": {**own, "device": "cuda:99"},
        "--keypoints FILE, or --openpose": {**own, **openpose},
        "give --keypoints": inputs,
        "--iterations": {**own, "iterations": -1},
    }.items():
        with pytest.raises(UserError, match=message):
            fit.run(**wrong)
    assert not (tmp_path / "a.npz").exists()
