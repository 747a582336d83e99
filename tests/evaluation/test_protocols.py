"""Protocols are what the reference notes say, and truth as prediction is perfect under each."""

import dataclasses

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.evaluation.protocols import AUC_THRESHOLDS_MM, PROTOCOLS, find_protocol
from spinloop.evaluation.scores import score_joints, summarize
from spinloop.joints import H36M_TO_J14, H36M_TO_J17

PERFECT = {"pck_percent": 100.0, "auc_percent": 100.0 * 30 / 31}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_truth_as_prediction_is_perfect(name, people):
    joints = people[1].astype(np.float32)
    protocol = find_protocol(name)
    scores = score_joints(protocol, joints, joints, np.zeros(len(joints)))
    assert set(scores.values) == set(protocol.metrics)
    for metric, values in scores.values.items():
        expected = PERFECT.get(metric.removeprefix("pa_"), 0.0)
        np.testing.assert_allclose(values, expected, atol=0 if expected == 0 else 1e-9, err_msg=metric)


def test_joint_rows_are_the_published_ones():
    assert (
        find_protocol("pw3d@1").joint_rows == H36M_TO_J14 == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
    )
    assert find_protocol("mpi_inf_3dhp@1").joint_rows == H36M_TO_J17
    assert find_protocol("mpi_inf_3dhp@1").pck_columns == tuple(range(14))
    assert AUC_THRESHOLDS_MM == tuple(range(0, 151, 5))


def test_moving_the_prediction_changes_nothing(people):
    predicted, annotated = people
    protocol = find_protocol("h36m_p1@1")
    here = score_joints(protocol, predicted, annotated)
    there = score_joints(protocol, predicted + np.array([3.0, -1.0, 40.0]), annotated)
    for name, values in here.values.items():
        np.testing.assert_allclose(there.values[name], values, atol=1e-8)


def test_the_root_of_seventeen_joints_counts_as_a_joint_without_error(people):
    scores = score_joints(find_protocol("mpi_inf_3dhp@1"), *people)
    root = find_protocol("mpi_inf_3dhp@1").joints.index("pelvis")
    assert (scores.joint_mpjpe_mm[:, root] == 0).all()
    np.testing.assert_allclose(scores.values["mpjpe_mm"], scores.joint_mpjpe_mm.sum(1) / 17)


def test_protocols_cannot_be_changed(monkeypatch):
    with pytest.raises(dataclasses.FrozenInstanceError):
        monkeypatch.setattr(find_protocol("pw3d@1"), "version", 2)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"3dpw@1.*unknown.*h36m_p1@1, h36m_p2@1, mpi_inf_3dhp@1, pw3d@1"):
        find_protocol("3dpw@1")


def test_a_protocol_with_mesh_error_needs_one(people):
    with pytest.raises(ValueError, match="pw3d@1 needs vertex errors"):
        score_joints(find_protocol("pw3d@1"), *people)


def test_the_summary_is_flat_numbers_with_intervals(people):
    scores = score_joints(find_protocol("h36m_p1@1"), *people)
    summary = summarize(scores, np.arange(40), 0.95, 200, seed=1)
    assert summary["protocol"] == "h36m_p1@1"
    assert summary["n"] == summary["n_groups"] == 40
    for name, values in scores.values.items():
        assert summary[name] == pytest.approx(values.mean())
        assert summary[f"{name}_low"] < summary[name] < summary[f"{name}_high"]


def test_the_documentation_lists_every_protocol(repository):
    text = (repository / "docs" / "protocols.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert f"| `{name}` | {len(protocol.joints)} | {protocol.root} |" in text
