"""Scores of joints, bodies and masks against plain loops, and of the truth as a prediction."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.metrics import IGNORE
from spinloop.evaluation.predictions import Predictions, predictions_of
from spinloop.evaluation.protocols import (
    PROTOCOLS,
    JointProtocol,
    MaskProtocol,
    find_joint_protocol,
    find_protocol,
)
from spinloop.evaluation.scores import Reference, score_bodies, score_joints, score_masks
from spinloop.geometry.camera import camera_to_translation
from spinloop.rendering.masks import render_labels, render_labels_as_published

PROTOCOL = find_joint_protocol("pw3d@1")
JOINT_PROTOCOLS = sorted(name for name, protocol in PROTOCOLS.items() if isinstance(protocol, JointProtocol))
PERFECT = {"pck_percent": 100.0, "auc_percent": 100.0 * 30 / 31}


@pytest.mark.parametrize("name", JOINT_PROTOCOLS)
def test_truth_as_prediction_is_perfect(name, people):
    protocol = find_joint_protocol(name)
    joints = np.resize(people[1], (40, len(protocol.joint_set), 3)).astype(np.float32)
    scores = score_joints(protocol, joints, joints, np.zeros(len(joints)))
    assert set(scores.values) == set(protocol.metrics)
    for metric, values in scores.values.items():
        expected = PERFECT.get(metric.removeprefix("pa_"), 0.0)
        exactly = 1e-13 if metric.endswith("auc_percent") else 0
        np.testing.assert_allclose(values, expected, rtol=0, atol=exactly * 100, err_msg=metric)


def test_moving_the_prediction_changes_nothing(people):
    predicted, annotated = people
    protocol = find_joint_protocol("h36m_p1@1")
    here = score_joints(protocol, predicted, annotated)
    there = score_joints(protocol, predicted + np.array([3.0, -1.0, 40.0]), annotated)
    for name, values in here.values.items():
        np.testing.assert_allclose(there.values[name], values, atol=1e-8)


def test_the_root_of_seventeen_joints_counts_as_a_joint_without_error(people):
    scores = score_joints(find_joint_protocol("mpi_inf_3dhp@1"), *people)
    root = find_joint_protocol("mpi_inf_3dhp@1").joints.index("pelvis")
    assert (scores.joint_mpjpe_mm[:, root] == 0).all()
    np.testing.assert_allclose(scores.values["mpjpe_mm"], scores.joint_mpjpe_mm.sum(1) / 17)


def test_without_meshes_the_error_of_vertices_stays_out(people):
    scores = score_joints(find_joint_protocol("pw3d@1"), *people)
    assert set(scores.values) == {"pa_mpjpe_mm", "mpjpe_mm"}


def _as_predictions(truth, bodies):
    """The truth as predictions of the neutral body."""
    matrices = Rotation.from_rotvec(truth.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    rotations, betas = matrices.astype(np.float32), truth.betas.astype(np.float32)
    neutral = bodies["neutral"]
    joints = neutral.regress_h36m(neutral.vertices(torch.from_numpy(rotations), torch.from_numpy(betas)))
    return Predictions(truth.ids, rotations, betas, np.ones((len(betas), 3), np.float32), joints.numpy())


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


def _masks(parts: list[np.ndarray | None]) -> dict[str, list[np.ndarray | None]]:
    """Masks of people from their labels of parts."""
    masks = [
        None if each is None else np.where((each > 0) & (each != IGNORE), 255, 0).astype(np.uint8)
        for each in parts
    ]
    return {"mask": masks, "parts": parts}


@pytest.mark.parametrize(
    ("name", "render"), [("lsp@1", render_labels), ("lsp_official@1", render_labels_as_published)]
)
def test_a_body_that_is_its_own_annotation_is_perfect(name, render, body_files, bodies, truth, write_crops):
    protocol, body = find_protocol(name), body_files["neutral"]
    assert isinstance(protocol, MaskProtocol)
    some = truth.take([0, 1, 2])
    pose, betas = (torch.from_numpy(array.astype(np.float32)) for array in (some.pose, some.betas))
    translation = torch.tensor([[0.0, 0.1, 45.0]]).repeat(3, 1)
    predictions = predictions_of(some.ids, BodyState(pose, betas, translation), bodies["neutral"], 2)
    columns = {"center": [np.array([60.0, 50.0])] * 3, "scale": [0.5] * 3}
    records = pd.DataFrame({**columns, "image_height": [90] * 3, "image_width": [120] * 3})
    vertices = bodies["neutral"].vertices(torch.from_numpy(predictions.rotations), betas)
    translation = camera_to_translation(torch.from_numpy(predictions.camera))
    seen = (vertices + translation[:, None]).numpy()
    rendered = [
        render(each, body.f, body.part_labels, np.array([60.0, 50.0]), 0.5, (90, 120)) for each in seen
    ]
    assert all(image.any() for image in rendered)
    images = [np.zeros((9, 9, 3), np.uint8)] * 3
    crops = write_crops(some.ids, images, _masks(rendered))
    reference = Reference(Path("lsp.parquet"), records, bodies, body, crops)
    scores = score_masks(protocol, predictions, reference, batch_size=2)
    for metric, perfect in (("mask_f1", 1.0), ("parts_f1", 1.0), ("parts_accuracy_percent", 100.0)):
        assert scores.values[metric].tolist() == [perfect] * 3

    for parts, message in (
        ([*rendered[:2], None], f"{some.ids[2]}: no mask"),
        ([rendered[0], rendered[1][1:], rendered[2]], f"{some.ids[1]}: mask: 89 × 120 px, the image has 90"),
    ):
        faulty = dataclasses.replace(reference, crops=write_crops(some.ids, images, _masks(parts)))
        with pytest.raises(UserError, match=re.escape(message)):
            score_masks(protocol, predictions, faulty, batch_size=2)
