"""Predictions of a network and their errors against gendered bodies."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.evaluation.measure import score_bodies
from spinloop.evaluation.predict import (
    Predictions,
    crop_source,
    load_errors,
    load_predictions,
    predict,
    save_predictions,
)
from spinloop.evaluation.protocols import find_joint_protocol
from spinloop.geometry.crop import crop_affine, warp
from spinloop.params.training import NetworkParams
from spinloop.regression.hmr import Hmr, MeanParameters

PROTOCOL = find_joint_protocol("pw3d@1")


@pytest.fixture(scope="module")
def network():
    sizes = NetworkParams(
        backbone="resnet18", width=8, head_width=8, image_px=32, n_iterations=2, dropout=0.0, compat="none"
    )
    identity = np.tile(np.array([1, 0, 0, 1, 0, 0], np.float32), 24)
    mean = MeanParameters(identity, np.zeros(10, np.float32), np.array([0.9, 0, 0], np.float32))
    return Hmr(sizes, mean, torch.Generator().manual_seed(0)).eval()


def _as_predictions(truth, bodies):
    """The truth as somebody would predict it who knew everything, on the neutral body."""
    matrices = Rotation.from_rotvec(truth.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    rotations, betas = matrices.astype(np.float32), truth.betas.astype(np.float32)
    neutral = bodies["neutral"]
    joints = neutral.regress_h36m(neutral.vertices(torch.from_numpy(rotations), torch.from_numpy(betas)))
    return Predictions(truth.ids, rotations, betas, np.ones((len(betas), 3), np.float32), joints.numpy())


def test_crops_are_those_cut_from_the_original_image(rng):
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    boxes = [(np.array([30.0, 20.0]), 0.16), (np.array([12.5, 18.0]), 0.2)]
    records = pd.DataFrame(boxes, columns=pd.Index(["center", "scale"]))

    class Packed:
        def image(self, index):
            return image, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    source = crop_source(Packed(), records, 32)
    for index, (center, scale) in enumerate(boxes):
        wanted = warp(image, crop_affine(center, scale, size_px=32.0), 32)
        np.testing.assert_array_equal(source(index), wanted)


def test_batch_size_changes_nothing(network, bodies, rng):
    images = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    ids = list("abcde")
    one, all_at_once = (
        predict(network, bodies["neutral"], ids, lambda i: images[i], size) for size in (1, 5)
    )
    for first, second in zip(one[1:], all_at_once[1:], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(one.rotations), 1.0, atol=1e-5)


def test_errors_equal_plain_loops_over_gendered_meshes(bodies, truth, rng):
    predictions = _as_predictions(truth, bodies)
    predictions = predictions._replace(betas=predictions.betas[::-1].copy())
    neutral = bodies["neutral"]
    seen_all = neutral.vertices(torch.from_numpy(predictions.rotations), torch.from_numpy(predictions.betas))
    predictions = predictions._replace(joints=neutral.regress_h36m(seen_all).numpy())
    scores = score_bodies(PROTOCOL, predictions, truth, bodies, batch_size=5)
    for index, gender in enumerate(truth.genders):
        body = bodies[gender or "neutral"]
        pose, betas = (torch.from_numpy(a[index : index + 1]).float() for a in (truth.pose, truth.betas))
        wanted = body.vertices(pose, betas)[0].double().numpy()
        seen = seen_all[index].double().numpy()
        regressor = neutral.h36m_regressor.double().numpy()
        wanted_joints, seen_joints = regressor @ wanted, regressor @ seen
        gaps = (seen - seen_joints[0]) - (wanted - wanted_joints[0])
        assert scores.values["pve_mm"][index] == pytest.approx(
            1e3 * np.linalg.norm(gaps, axis=1).mean(), abs=1e-2
        )
        rows = list(PROTOCOL.joint_rows)
        gaps = (seen_joints - seen_joints[0])[rows] - (wanted_joints - wanted_joints[0])[rows]
        assert scores.values["mpjpe_mm"][index] == pytest.approx(
            1e3 * np.linalg.norm(gaps, axis=1).mean(), abs=1e-2
        )


def test_truth_as_prediction_has_no_error(bodies, truth):
    neutral = truth._replace(genders=["neutral"] * len(truth.ids))
    predictions = _as_predictions(neutral, bodies)
    scores = score_bodies(PROTOCOL, predictions, neutral, bodies, batch_size=4)
    for name, values in scores.values.items():
        # float32 bodies of a metre: the pose goes in once as angles, once as matrices
        assert values.max() < 2e-3, name


def test_the_wrong_gender_is_an_error(bodies, truth):
    scores = score_bodies(PROTOCOL, _as_predictions(truth, bodies), truth, bodies, batch_size=64)
    gendered = np.array([gender in ("female", "male") for gender in truth.genders])
    assert scores.values["pve_mm"][gendered].min() > 10.0
    assert scores.values["pve_mm"][~gendered].max() < 2e-3


def test_predictions_survive_the_file(bodies, truth, tmp_path):
    predictions = _as_predictions(truth, bodies)
    scores = score_bodies(PROTOCOL, predictions, truth, bodies, batch_size=64)
    path = tmp_path / "predictions.h5"
    save_predictions(path, predictions, scores, {"setting": "toy"})
    again = load_predictions(path)
    assert again.ids == predictions.ids
    for before, after in zip(predictions[1:], again[1:], strict=True):
        np.testing.assert_array_equal(before, after)
    errors = load_errors(path)
    np.testing.assert_array_equal(errors["pa_mpjpe_mm"], scores.values["pa_mpjpe_mm"])
    np.testing.assert_allclose(errors["joint_mpjpe_mm"].mean(1), scores.values["mpjpe_mm"])
    first = path.read_bytes()
    save_predictions(path, predictions, scores, {"setting": "toy"})
    assert path.read_bytes() == first


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=["a"])
    for read in (load_predictions, load_errors):
        with pytest.raises(
            UserError, match=r"other\.h5: not a file of predictions .* make it with `spinloop"
        ):
            read(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="not a file of predictions"):
        load_predictions(path)
