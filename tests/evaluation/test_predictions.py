"""Predictions of a network and their errors against gendered bodies."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.predictions import (
    Predictions,
    load_predictions,
    load_same_people,
    predict,
    predictions_of,
    save_predictions,
)
from spinloop.evaluation.protocols import find_joint_protocol
from spinloop.evaluation.scores import score_bodies, score_joints, stored_scores
from spinloop.geometry.crop import crop_affine, warp
from spinloop.params.training import NetworkParams
from spinloop.regression.hmr import Hmr, MeanParameters, normalize_images

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
    """The truth as predictions of the neutral body."""
    matrices = Rotation.from_rotvec(truth.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    rotations, betas = matrices.astype(np.float32), truth.betas.astype(np.float32)
    neutral = bodies["neutral"]
    joints = neutral.regress_h36m(neutral.vertices(torch.from_numpy(rotations), torch.from_numpy(betas)))
    return Predictions(truth.ids, rotations, betas, np.ones((len(betas), 3), np.float32), joints.numpy())


def test_the_network_gets_crops_of_the_original_image(network, bodies, rng, write_crops):
    """The estimates equal those of crops that are cut from the original, whatever the batch size."""
    images = [rng.integers(0, 256, (40, 60, 3), dtype=np.uint8) for _ in range(6)]
    boxes = [(np.array([30.0, 20.0]), 0.16), (np.array([12.5, 18.0]), 0.2)] * 3
    records = pd.DataFrame(boxes, columns=pd.Index(["center", "scale"]))
    crops = [
        warp(image, crop_affine(center, scale, size_px=32.0), 32)
        for image, (center, scale) in zip(images, boxes, strict=True)
    ]
    with torch.no_grad():
        expected = network(normalize_images(np.stack(crops)))
    reader = write_crops(list("abcdef"), images)
    for batch_size in (1, 5):
        found = predict(network, bodies["neutral"], reader, records, 32, batch_size)
        assert found.ids == list("abcdef")
        np.testing.assert_allclose(found.rotations, expected.rotations.numpy(), atol=1e-5)
        np.testing.assert_allclose(found.camera, expected.camera.numpy(), atol=1e-5)


def test_predictions_survive_the_file(bodies, truth, tmp_path):
    predictions = _as_predictions(truth, bodies)
    scores = score_bodies(PROTOCOL, predictions, truth, bodies, batch_size=64)
    path = tmp_path / "predictions.h5"
    save_predictions(path, predictions, {"setting": "toy"}, scores.arrays, scores.attributes)
    again, errors = load_predictions(path)
    assert again.ids == predictions.ids
    for before, after in zip(predictions[1:], again[1:], strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(errors["pa_mpjpe_mm"], scores.values["pa_mpjpe_mm"])
    np.testing.assert_allclose(errors["joint_mpjpe_mm"].mean(1), scores.values["mpjpe_mm"])
    first = path.read_bytes()
    save_predictions(path, predictions, {"setting": "toy"}, scores.arrays, scores.attributes)
    assert path.read_bytes() == first


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=["a"])
    with pytest.raises(UserError, match=r"other\.h5: rotations: missing; make it with `spinloop"):
        load_predictions(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="not a file of predictions"):
        load_predictions(path)


def test_a_state_comes_back_from_its_predictions(bodies):
    generator = torch.Generator().manual_seed(0)
    state = BodyState(
        0.4 * torch.randn(4, 72, generator=generator),
        torch.randn(4, 10, generator=generator),
        torch.tensor([[0.1, -0.2, 40.0]]).repeat(4, 1),
    )
    predictions = predictions_of(list("abcd"), state, bodies["neutral"], batch_size=3)
    for before, after in zip(state, predictions.to_state(), strict=True):
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    vertices = bodies["neutral"].vertices(state.pose, state.betas)
    joints = bodies["neutral"].regress_h36m(vertices)
    np.testing.assert_allclose(predictions.joints, joints.numpy(), atol=1e-5)
    assert predictions.take(np.array([2, 0])).ids == ["c", "a"]


def test_stored_scores_equal_the_scores(people, tmp_path):
    ids, some = [f"{number:02d}" for number in range(40)], np.array([7, 3])
    arrays = ((40, 24, 3, 3), (40, 10), (40, 3), (40, 17, 3))
    predictions = Predictions(ids, *(np.zeros(shape, np.float32) for shape in arrays))
    joints = score_joints(find_joint_protocol("mpi_inf_3dhp@1"), *people)
    save_predictions(tmp_path / "p.h5", predictions, {}, joints.arrays, joints.attributes)
    (stored,) = load_same_people([tmp_path / "p.h5"])
    again = stored_scores(joints.protocol, stored.errors, some)
    assert set(again.values) == set(joints.values)
    for name, values in joints.values.items():
        np.testing.assert_array_equal(again.values[name], values[some])
