"""Keypoints as they come: whatever is missing or wrong, the fits are finite, alone, and the same again."""

import numpy as np
import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.joints import MODEL49, MODEL49_FLIP, N_OPENPOSE

_SUBSETS = {
    "nothing": (),
    "one joint": ("op_nose",),
    "two joints": ("op_nose", "op_left_wrist"),
    "one arm": ("op_left_shoulder", "op_left_elbow", "op_left_wrist"),
    "ignored joints alone": ("op_neck", "op_left_hip", "op_right_hip", "left_hip", "right_hip"),
    "head": ("op_nose", "op_left_eye", "op_right_eye", "op_left_ear", "op_right_ear", "head_top_lsp"),
    "feet": tuple(name for name in MODEL49 if name.endswith(("toe", "heel"))),
    "OpenPose": MODEL49[:N_OPENPOSE],
    "annotated": MODEL49[N_OPENPOSE:],
    "left side": tuple(name for name in MODEL49 if "left" in name),
    "upper half": tuple(n for n in MODEL49 if not n.endswith(("hip", "knee", "ankle", "toe", "heel"))),
}  # fmt: skip


def _flat(result):
    parts = [*result.state, result.joints.flatten(1), result.reprojection, result.objective[:, None]]
    return torch.cat(parts, dim=1)


def _stages_of(params, n_iterations):
    return [stage.model_copy(update={"n_iterations": n_iterations}) for stage in params.mean_start.stages]


@pytest.fixture(scope="module")
def damaged(crowd):
    """Keypoints of twelve people, each damaged in its own way; the last one is whole."""
    keypoints = crowd[1].clone()
    keypoints[11, :, 2] = 0.9
    for row, names in enumerate(_SUBSETS.values()):
        hidden = [joint for joint, name in enumerate(MODEL49) if name not in names]
        keypoints[row, hidden, 2] = 0
    return keypoints


@pytest.fixture(scope="module")
def fitters(golden, prior, params):
    """By solver; few steps suffice here."""
    few = params.mean_start.model_copy(update={"stages": _stages_of(params, 3)})
    settings = {"n_iterations": 4, "mean_start": few}
    return {
        solver: Fitter(golden.body, prior, params.model_copy(update={**settings, "solver": solver}))
        for solver in ("lm", "adam")
    }


@pytest.mark.parametrize("solver", ["lm", "adam"])
def test_any_subset_of_joints_gives_finite_fits(fitters, crowd, damaged, solver):
    result = fitters[solver].fit(crowd[0], damaged)
    assert torch.isfinite(_flat(result)).all()
    hidden = damaged[..., 2] == 0
    assert (result.reprojection[hidden] == 0).all()


def test_any_subset_of_joints_gives_finite_fits_from_the_mean_pose(fitters, damaged):
    assert torch.isfinite(_flat(fitters["lm"].fit_from_mean(damaged))).all()


def test_keypoints_without_confidence_do_not_count(fitters, crowd, damaged):
    """Neither where hidden joints are nor that they are no numbers changes a bit."""
    elsewhere, broken = damaged.clone(), damaged.clone()
    hidden = damaged[..., 2] == 0
    elsewhere[..., :2][hidden] = -1e6
    broken[..., :2][hidden] = torch.nan
    for fit in (lambda seen: fitters["lm"].fit(crowd[0], seen), fitters["lm"].fit_from_mean):
        expected = _flat(fit(damaged))
        assert torch.equal(_flat(fit(elsewhere)), expected)
        assert torch.equal(_flat(fit(broken)), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_a_broken_number_anywhere_stays_with_its_person(fitters, crowd, value):
    begin, keypoints = crowd
    clean = fitters["lm"].fit(begin, keypoints)
    broken, start = keypoints.clone(), BodyState(*(part.clone() for part in begin))
    broken[1, 5, 0] = value
    broken[2, 40, 2] = value
    start.pose[3, 10] = value
    start.betas[4, 1] = value
    start.translation[5, 2] = value
    result = fitters["lm"].fit(start, broken)
    assert torch.isfinite(_flat(result)).all()
    whole = [0, 6, 7, 8, 9, 10, 11]
    torch.testing.assert_close(_flat(result)[whole], _flat(clean)[whole], atol=1e-4, rtol=1e-4)


def test_an_outlier_costs_little(fitters, crowd):
    """One joint thrown across the crop moves the others by less than a tenth of that."""
    begin, keypoints = crowd
    thrown = keypoints.clone()
    thrown[:, MODEL49.index("op_left_wrist"), :2] += 300
    thrown[:, MODEL49.index("op_left_wrist"), 2] = 1
    clean, result = fitters["lm"].fit(begin, keypoints), fitters["lm"].fit(begin, thrown)
    others = [joint for joint, name in enumerate(MODEL49) if not any(w in name for w in ("wrist", "elbow"))]
    moved_m = (result.joints - clean.joints)[:, others].norm(dim=-1).mean(-1)
    assert moved_m.median() < 0.1 * 300 * 50 / 5000


def test_swapped_sides_are_fitted_without_harm(fitters, crowd):
    begin, keypoints = crowd
    swapped = keypoints[:, list(MODEL49_FLIP)]
    result = fitters["lm"].fit(begin, swapped)
    assert torch.isfinite(_flat(result)).all()
    assert (result.objective <= fitters["lm"].terms(begin, swapped).total + 1e-2).all()


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_crop_that_cuts_people_off_is_fitted(fitters, crowd, share):
    begin, keypoints = crowd
    cut = keypoints.clone()
    cut[..., 2] = torch.where(cut[..., 1] > torch.quantile(cut[..., 1], 1 - share), 0.0, cut[..., 2])
    assert torch.isfinite(_flat(fitters["lm"].fit(begin, cut))).all()
    assert torch.isfinite(_flat(fitters["lm"].fit_from_mean(cut))).all()


def test_fits_from_the_mean_pose_do_not_depend_on_order_or_batch(golden, prior, params, crowd):
    few = params.mean_start.model_copy(update={"stages": _stages_of(params, 3), "n_camera_iterations": 3})
    settings = params.model_copy(update={"mean_start": few})
    keypoints, order = crowd[1].double(), np.random.default_rng(0).permutation(12)
    whole = Fitter(golden.body, prior, settings, dtype=torch.float64)
    small = Fitter(golden.body, prior, settings.model_copy(update={"chunk_size": 5}), dtype=torch.float64)
    expected, shuffled = _flat(whole.fit_from_mean(keypoints)), _flat(small.fit_from_mean(keypoints[order]))
    torch.testing.assert_close(shuffled, expected[order], atol=1e-4, rtol=1e-4)
