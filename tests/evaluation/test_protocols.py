"""Protocols are what the reference notes say, and truth as prediction is perfect under each."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from spinloop.errors import UserError
from spinloop.evaluation.protocols import (
    AUC_THRESHOLDS_MM,
    PROTOCOLS,
    Protocol,
    find_joint_protocol,
    find_protocol,
)
from spinloop.evaluation.scores import breakdowns, score_joints, summarize
from spinloop.joints import H36M_TO_J14, H36M_TO_J17

JOINT_PROTOCOLS = sorted(name for name, protocol in PROTOCOLS.items() if isinstance(protocol, Protocol))
PERFECT = {"pck_percent": 100.0, "auc_percent": 100.0 * 30 / 31}


@pytest.mark.parametrize("name", JOINT_PROTOCOLS)
def test_truth_as_prediction_is_perfect(name, people):
    joints = people[1].astype(np.float32)
    protocol = find_joint_protocol(name)
    scores = score_joints(protocol, joints, joints, np.zeros(len(joints)))
    assert set(scores.values) == set(protocol.metrics)
    for metric, values in scores.values.items():
        expected = PERFECT.get(metric.removeprefix("pa_"), 0.0)
        exactly = 1e-13 if metric.endswith("auc_percent") else 0
        np.testing.assert_allclose(values, expected, rtol=0, atol=exactly * 100, err_msg=metric)


def test_joint_rows_are_the_published_ones():
    assert (
        find_joint_protocol("pw3d@1").joint_rows
        == H36M_TO_J14
        == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
    )
    assert find_joint_protocol("mpi_inf_3dhp@1").joint_rows == H36M_TO_J17
    assert find_joint_protocol("mpi_inf_3dhp@1").pck_columns == tuple(range(14))
    assert AUC_THRESHOLDS_MM == tuple(range(0, 151, 5))


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


def test_protocols_cannot_be_changed(monkeypatch):
    with pytest.raises(dataclasses.FrozenInstanceError):
        monkeypatch.setattr(find_protocol("pw3d@1"), "version", 2)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(
        UserError,
        match=r"3dpw@1.*unknown.*h36m_p1@1, h36m_p2@1, lsp@1, lsp_official@1, mpi_inf_3dhp@1, pw3d@1",
    ):
        find_protocol("3dpw@1")


def test_without_meshes_the_error_of_vertices_stays_out(people):
    scores = score_joints(find_joint_protocol("pw3d@1"), *people)
    assert set(scores.values) == {"pa_mpjpe_mm", "mpjpe_mm"}


def test_a_protocol_for_masks_is_not_one_for_joints():
    with pytest.raises(UserError, match="'lsp@1' measures masks, not joints"):
        find_joint_protocol("lsp@1")


def test_the_summary_is_flat_numbers_with_intervals_joints_and_sequences(people):
    records = pd.DataFrame({"id": [f"a/{n}#0" for n in range(40)], "sequence": ["s", "t"] * 20})
    scores = score_joints(find_joint_protocol("h36m_p1@1"), *people)
    summary = summarize(scores, records, 0.95, 200, seed=1)
    assert summary["protocol"] == "h36m_p1@1"
    assert (summary["n"], summary["n_groups"]) == (40, 2)
    for name, values in scores.values.items():
        assert summary[name] == pytest.approx(values.mean())
        assert summary[f"{name}_low"] <= summary[name] <= summary[f"{name}_high"]
        assert summary["by"]["sequence"]["t"][name] == pytest.approx(values[1::2].mean())
    assert list(summary["by"]) == ["sequence"]
    knees = summary["parts"]["right_knee"]
    assert knees["mpjpe_mm"] == pytest.approx(scores.joint_mpjpe_mm[:, 1].mean())


def test_scenes_and_activities_are_given_where_the_data_name_them(people):
    sequences = ["TS1", "TS3", "TS4", "TS6"] * 10
    activities = ["Sports", "Sitting"] * 20
    records = pd.DataFrame({"id": map(str, range(40)), "sequence": sequences, "activity": activities})
    scores = score_joints(find_joint_protocol("mpi_inf_3dhp@1"), *people)
    table = breakdowns(scores, records)
    assert {name: group["n"] for name, group in table["scene"].items()} == {
        "green screen": 10,
        "no green screen": 20,
        "outdoor": 10,
    }
    sports = scores.values["pck_percent"][::2].mean()
    assert table["activity"]["Sports"]["pck_percent"] == pytest.approx(sports)
    assert "activity" not in breakdowns(scores, records.drop(columns="activity"))
    assert "scene" not in breakdowns(scores, records.assign(sequence="downtown"))


def test_the_documentation_lists_every_protocol(repository):
    text = (repository / "docs" / "protocols.md").read_text(encoding="utf-8")
    for name in JOINT_PROTOCOLS:
        protocol = find_joint_protocol(name)
        assert f"| `{name}` | {len(protocol.joints)} | {protocol.root} |" in text
    for name in set(PROTOCOLS) - set(JOINT_PROTOCOLS):
        assert f"| `{name}` | " in text
