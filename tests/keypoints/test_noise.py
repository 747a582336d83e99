import numpy as np
import pytest

from spinloop.joints import MODEL49, N_OPENPOSE, OPENPOSE25
from spinloop.keypoints.noise import (
    OPENPOSE_SIGMA,
    TrueJoints,
    person_size,
    sample_detection,
    sample_detections,
    sample_keypoints,
)
from spinloop.keypoints.openpose import openpose_json
from spinloop.params.fitting import LifterKeypointsParams
from spinloop.params.mirror import DetectorParams, Range

SIZE = (400, 300)
PERFECT = {
    "noise": 0.0, "hidden_noise": 0.0, "miss": 0.0, "hidden_miss": 0.0, "outlier": 0.0, "swap": 0.0,
    "person_miss": 0.0, "false_person": 0.0,
}  # fmt: skip


def params(**changes: float) -> DetectorParams:
    return DetectorParams(**(PERFECT | changes))


@pytest.fixture
def person() -> TrueJoints:
    rng = np.random.default_rng(3)
    return TrueJoints(rng.uniform([60, 40], [240, 360], (25, 2)), np.ones(25, dtype=bool))


def test_a_perfect_detector_reports_the_truth(person):
    (found,) = sample_detections([person], SIZE, params(), np.random.default_rng(0))
    np.testing.assert_array_equal(found[:, :2], person.pixels)
    assert (found[:, 2] > 0.4).all()


def test_error_grows_with_the_person_and_the_joint(person):
    rng = np.random.default_rng(1)
    faults = params(noise=0.5)
    errors = np.stack(
        [sample_detection(person, SIZE, faults, rng)[:, :2] - person.pixels for _ in range(2000)]
    )
    expected = 0.5 * OPENPOSE_SIGMA * person_size(person.pixels)
    np.testing.assert_allclose(np.sqrt((errors**2).mean((0, 2))), expected, rtol=0.06)
    half = TrueJoints(person.pixels / 2, person.is_visible)
    assert person_size(half.pixels) == pytest.approx(person_size(person.pixels) / 2)


def test_hidden_joints_are_missed_more_often_and_believed_less(person):
    hidden = TrueJoints(person.pixels, np.arange(25) % 2 == 0)
    rng, faults = np.random.default_rng(2), params(miss=0.05, hidden_miss=0.5)
    scores = np.stack([sample_detection(hidden, SIZE, faults, rng)[:, 2] for _ in range(500)])
    missed = (scores == 0).mean(0)
    np.testing.assert_allclose(missed[hidden.is_visible], 0.05, atol=0.04)
    np.testing.assert_allclose(missed[~hidden.is_visible], 0.5, atol=0.08)
    found = np.where(scores > 0, scores, np.nan)
    assert np.nanmean(found[:, hidden.is_visible]) > np.nanmean(found[:, ~hidden.is_visible]) + 0.3


def test_joints_beside_the_picture_are_never_reported(person):
    beside = TrueJoints(np.where(np.arange(25)[:, None] < 5, -10.0, person.pixels), person.is_visible)
    found = sample_detection(beside, SIZE, params(), np.random.default_rng(0))
    assert (found[:5] == 0).all()
    assert (found[5:, 2] > 0).all()


def test_a_swap_exchanges_left_and_right_limbs_only(person):
    found = sample_detection(person, SIZE, params(swap=1.0), np.random.default_rng(0))
    for joint, name in enumerate(OPENPOSE25):
        limb = any(w in name for w in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe", "heel"))
        other = name.replace("left", "R").replace("right", "left").replace("R", "right")
        source = OPENPOSE25.index(other) if limb else joint
        np.testing.assert_array_equal(found[joint, :2], person.pixels[source])


def test_people_may_be_missed_and_invented(person):
    assert sample_detections([person], SIZE, params(person_miss=1.0), np.random.default_rng(0)) == []
    both = sample_detections([person], SIZE, params(false_person=1.0), np.random.default_rng(0))
    assert len(both) == 2
    ghost = min(both, key=lambda detection: detection[:, 2].mean())
    assert ghost[:, 2].max() < 0.4


def test_truth_is_not_changed(person):
    before = person.pixels.copy()
    sample_detections(
        [person, person], SIZE, params(noise=1.0, swap=1.0, false_person=1.0), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(person.pixels, before)


def test_json_has_openposes_fields(person):
    content = openpose_json(sample_detections([person], SIZE, params(), np.random.default_rng(0)))
    (person,) = content["people"]
    assert len(person["pose_keypoints_2d"]) == 75
    assert person["person_id"] == [-1]
    assert set(person) == {
        "person_id", "pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d",
        "hand_right_keypoints_2d", "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d",
        "hand_right_keypoints_3d",
    }  # fmt: skip


def test_real_openpose_files_have_the_same_fields(shared_data, person):
    import json

    path = shared_data / "openpose_misc" / "pexels-anete-lusina-4793258_keypoints.json"
    real = json.loads(path.read_text())
    ours = openpose_json(sample_detections([person], SIZE, params(), np.random.default_rng(0)))
    assert set(ours) == set(real)
    assert ours["version"] == real["version"]
    assert set(ours["people"][0]) == set(real["people"][0])


_EXACT_PX, _NOISE_PX = Range(low=0.0, high=0.0), Range(low=1.0, high=4.0)


def file_params(noise_px: Range = _EXACT_PX, **changes: float) -> LifterKeypointsParams:
    """No mistakes but those given."""
    mistakes = ("outlier", "swap", "only_openpose", "only_annotated", "miss", "lost_limb", "cut_off")
    nothing = dict.fromkeys((*mistakes, "uneven_noise", "midpoints", "no_feet"), 0.0)
    return LifterKeypointsParams(noise_px=noise_px, loose_noise=3.0, **(nothing | changes))


@pytest.fixture
def crops() -> np.ndarray:
    """True joints of 300 people in their crops."""
    return np.random.default_rng(0).uniform(20, 200, (300, 49, 2))


def test_kinds_of_people_come_in_their_shares(crops):
    shares = {"only_openpose": 0.3, "only_annotated": 0.3, "miss": 0.3, "lost_limb": 0.1, "cut_off": 0.2}
    keypoints = sample_keypoints(crops, file_params(_NOISE_PX, **shares), np.random.default_rng(1))
    has_openpose = (keypoints[:, :N_OPENPOSE, 2] > 0).any(1)
    has_annotated = (keypoints[:, N_OPENPOSE:, 2] > 0).any(1)
    assert (has_openpose & ~has_annotated).mean() == pytest.approx(0.3, abs=0.1)
    assert (has_annotated & ~has_openpose).mean() == pytest.approx(0.3, abs=0.1)
    assert set(np.unique(keypoints[:, N_OPENPOSE:, 2])) <= {0.0, 1.0}
    assert (keypoints[keypoints[..., 2] == 0] == 0).all()


def test_keypoints_without_mistakes_are_the_truth(crops):
    keypoints = sample_keypoints(crops, file_params(), np.random.default_rng(1))
    known = keypoints[..., 2] > 0
    assert known[:, :N_OPENPOSE].all()
    np.testing.assert_allclose(keypoints[known][:, :2], crops[known], atol=1e-4)


def test_detectors_with_fewer_joints_take_the_middles_from_the_sides(crops):
    for kind, lacking in (("midpoints", "small_toe"), ("no_feet", "heel")):
        keypoints = sample_keypoints(crops, file_params(**{kind: 1.0}), np.random.default_rng(1))
        sides = [MODEL49.index(f"op_{side}_shoulder") for side in ("left", "right")]
        middle = keypoints[:, MODEL49.index("op_neck"), :2]
        np.testing.assert_allclose(middle, crops[:, sides].mean(1), atol=1e-4)
        assert (keypoints[:, MODEL49.index(f"op_left_{lacking}")] == 0).all()
    assert (keypoints[:, MODEL49.index("op_left_ankle"), 2] > 0).all()


def test_swapped_arms_of_keypoints_change_sides_and_nothing_else(crops):
    keypoints = sample_keypoints(crops, file_params(swap=1.0), np.random.default_rng(1))
    left, right = MODEL49.index("op_left_wrist"), MODEL49.index("op_right_wrist")
    np.testing.assert_allclose(keypoints[:, left, :2], crops[:, right], atol=1e-4)
    nose = MODEL49.index("op_nose")
    np.testing.assert_allclose(keypoints[:, nose, :2], crops[:, nose], atol=1e-4)


def test_whole_limbs_are_lost_and_borders_cut_people_off(crops):
    keypoints = sample_keypoints(crops, file_params(_NOISE_PX, lost_limb=0.5), np.random.default_rng(1))
    arm = [MODEL49.index(f"op_left_{name}") for name in ("shoulder", "elbow", "wrist")]
    known = keypoints[:, arm, 2] > 0
    assert (known.all(1) | ~known.any(1)).all()
    assert 0.4 < known.all(1).mean() < 0.6
    cut_off = sample_keypoints(crops, file_params(_NOISE_PX, cut_off=1.0), np.random.default_rng(1))
    gone = cut_off[:, :N_OPENPOSE, 2] == 0
    assert gone.any(1).mean() > 0.9
    assert not gone.all(1).any()
