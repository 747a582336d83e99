"""The dictionary of fits against the truth."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.dictionary import (
    Snapshots,
    dictionary_table,
    fit_errors,
    load_snapshots,
    people_table,
    posed_joints,
    save_table,
    summarize_fits,
)
from spinloop.evaluation.protocols import find_protocol

PROTOCOL = find_protocol("pw3d@1")


@pytest.fixture(scope="module")
def skeletons(body_files):
    return {gender: JointsOnly(body, "h36m17", torch.float64) for gender, body in body_files.items()}


@pytest.fixture
def snapshots(truth, rng):
    """Three copies: far from the truth, nearer, exact; the last person has no fit at first."""
    noise = rng.normal(0, 0.3, (12, 72))
    pose = np.stack([truth.pose + share * noise for share in (1.0, 0.5, 0.0)])
    pose[0, -1] = 0.0
    return Snapshots(truth.ids, np.array([0, 100, 200]), pose, np.stack([truth.betas] * 3))


@pytest.fixture
def errors(snapshots, skeletons, truth):
    neutral = posed_joints(skeletons, truth.pose, truth.betas, ["neutral"] * 12)
    return fit_errors(PROTOCOL, skeletons, snapshots, neutral)


def test_joints_are_those_of_the_mesh_of_each_gender(skeletons, bodies, truth):
    joints = posed_joints(skeletons, truth.pose, truth.betas, truth.genders)
    for index, gender in enumerate(truth.genders):
        body = bodies[gender or "neutral"]
        pose, betas = (torch.from_numpy(a[index : index + 1]).float() for a in (truth.pose, truth.betas))
        np.testing.assert_allclose(joints[index], body.regress_h36m(body.vertices(pose, betas))[0], atol=1e-5)


def test_the_true_fit_has_no_error_and_a_better_one_less(errors):
    assert np.nanmax(errors.pa_mpjpe_mm[2]) < 1e-6
    assert np.nanmax(errors.mpjpe_mm[2]) < 1e-6
    assert np.nanmean(errors.pa_mpjpe_mm[1]) < np.nanmean(errors.pa_mpjpe_mm[0])


def test_a_person_without_fit_has_no_error_and_is_not_compared(snapshots, errors):
    assert np.isnan(errors.pa_mpjpe_mm[0, -1])
    assert np.isfinite(errors.pa_mpjpe_mm[1:, -1]).all()
    table = dictionary_table(snapshots, errors)
    assert table["n_with_fit"].tolist() == [11, 12, 12]
    np.testing.assert_allclose(table["pa_mpjpe_mm"], errors.pa_mpjpe_mm[:, :-1].mean(1))
    summary = summarize_fits(snapshots, errors, 0.95, 100, seed=0)
    assert (summary["n"], summary["n_compared"], summary["initial_n"], summary["final_n"]) == (12, 11, 11, 12)
    assert summary["new_n"] == 1
    assert summary["new_pa_mpjpe_mm"] == pytest.approx(errors.pa_mpjpe_mm[-1, -1])


def test_the_change_is_of_each_person_and_below_zero_when_better(snapshots, errors):
    summary = summarize_fits(snapshots, errors, 0.95, 500, seed=0)
    change = errors.pa_mpjpe_mm[-1, :-1] - errors.pa_mpjpe_mm[0, :-1]
    assert summary["change_pa_mpjpe_mm"] == pytest.approx(change.mean())
    assert summary["change_pa_mpjpe_mm_low"] < change.mean() < summary["change_pa_mpjpe_mm_high"] < 0
    assert (summary["improved_percent"], summary["worsened_percent"]) == (100.0, 0.0)


def test_a_dictionary_that_never_changes_has_no_change(snapshots, skeletons, truth):
    frozen = snapshots._replace(pose=np.stack([snapshots.pose[1]] * 3))
    neutral = posed_joints(skeletons, truth.pose, truth.betas, truth.genders)
    summary = summarize_fits(frozen, fit_errors(PROTOCOL, skeletons, frozen, neutral), 0.95, 100, seed=0)
    assert summary["change_pa_mpjpe_mm"] == summary["change_pa_mpjpe_mm_high"] == 0.0
    assert (summary["improved_percent"], summary["worsened_percent"]) == (0.0, 0.0)


def test_snapshots_are_read_and_the_table_is_stable(snapshots, errors, tmp_path):
    path = tmp_path / "snapshots.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=snapshots.ids, dtype=h5py.string_dtype())
        for name in ("steps", "pose", "betas"):
            file.create_dataset(name, data=getattr(snapshots, name))
    again = load_snapshots(path)
    assert again.ids == snapshots.ids
    np.testing.assert_array_equal(again.pose, snapshots.pose)
    save_table(tmp_path / "table.csv", dictionary_table(again, errors))
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["step"].tolist() == [0, 100, 200]
    np.testing.assert_allclose(table["pa_mpjpe_mm"], errors.pa_mpjpe_mm[:, :-1].mean(1), atol=5e-4)
    save_table(tmp_path / "people.csv", people_table(again, errors))
    people = pd.read_csv(tmp_path / "people.csv")
    assert people["id"].tolist() == snapshots.ids
    np.testing.assert_allclose(people["initial_pa_mpjpe_mm"], errors.pa_mpjpe_mm[0], atol=5e-4)
    np.testing.assert_allclose(people["final_mpjpe_mm"], errors.mpjpe_mm[-1], atol=5e-4)


@pytest.mark.parametrize(("name", "fault"), [("steps", "no snapshot"), ("pose", "steps: missing")])
def test_snapshots_without_content_are_refused(tmp_path, name, fault):
    path = tmp_path / "snapshots.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=["a"])
        file.create_dataset("betas", data=np.zeros((0, 1, 10)))
        if name == "steps":
            file.create_dataset("steps", data=np.zeros(0, int))
            file.create_dataset("pose", data=np.zeros((0, 1, 72)))
    with pytest.raises(UserError, match=fault):
        load_snapshots(path)
