import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinloop.errors import UserError
from spinloop.keypoints.openpose import (
    detections_path,
    match_as_published,
    match_people,
    merge_joints,
    read_openpose,
)

# BODY_25's limb joints in the order of the first twelve of the 24: ankle, knee, hip, … as published.
LIMBS25 = [11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7]
BOX = 200.0


def _annotated(rng: np.random.Generator, at: float = 0.0) -> np.ndarray:
    joints = np.zeros((24, 3))
    joints[:12, :2] = at + rng.uniform(0, 160, (12, 2))
    joints[:12, 2] = 1
    return joints


def _detected(annotated: np.ndarray, shift: float = 0.0) -> np.ndarray:
    joints = np.zeros((25, 3))
    joints[LIMBS25, :2] = annotated[:12, :2]
    joints[LIMBS25, 0] += shift
    joints[LIMBS25, 2] = 0.7
    return joints


def _match(annotated, detected, max_distance=0.1, least=3):
    return _match_sized(annotated, detected, BOX, max_distance, least)


def _match_sized(annotated, detected, side, max_distance=0.1, least=3):
    count = len(annotated)
    people = np.reshape(detected, (len(detected), 25, 3))
    centers, sides = np.zeros((count, 2)), np.full(count, side)
    return match_people(np.stack(annotated), centers, sides, people, max_distance, least)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(0.0, 0), (5.0, 0), (19.9, 0), (20.1, None), (25.0, None), (60.0, None), (500.0, None)],
)
def test_a_person_is_taken_exactly_within_the_limit(shift, expected):
    person = _annotated(np.random.default_rng(0))
    assert _match([person], [_detected(person, shift)]) == [expected]


def test_the_limit_scales_with_the_persons_size():
    person = _annotated(np.random.default_rng(0))
    detected = [_detected(person, 25.0)]
    assert _match_sized([person], detected, 300.0) == [0]
    assert _match_sized([person], detected, 200.0) == [None]


def test_without_annotated_joints_the_box_decides():
    person = _detected(_annotated(np.random.default_rng(0)))
    seen = person[LIMBS25, :2]
    middle = (seen.min(0) + seen.max(0)) / 2
    extent = np.ptp(seen, axis=0).max()
    blank = np.zeros((1, 24, 3))

    def match(center, side):
        return match_people(blank, center[None], np.array([side]), person[None], 0.1, 3)

    assert match(middle, 1.2 * extent) == [0]
    assert match(middle + np.array([0.11 * extent, 0]), 1.2 * extent) == [0]
    assert match(middle + np.array([0.13 * extent, 0]), 1.2 * extent) == [None]
    assert match(middle, 0.9 * extent) == [None]
    assert match(middle, 2.1 * extent) == [None]


def test_a_stranger_is_never_taken_for_want_of_a_better():
    rng = np.random.default_rng(1)
    assert _match([_annotated(rng)], [_detected(_annotated(rng, at=900.0))]) == [None]


def test_joints_that_only_one_sees_do_not_count():
    rng = np.random.default_rng(2)
    person = _annotated(rng)
    person[:6] = 0
    detected = _detected(_annotated(rng, at=500.0))
    detected[LIMBS25[6:], :2] = person[6:12, :2]
    assert _match([person], [detected]) == [0]
    detected[LIMBS25[6:10], 2] = 0
    assert _match([person], [detected], least=3) == [None]
    assert _match([person], [detected], least=2) == [0]


def test_the_nearest_of_several_is_taken_whatever_their_order():
    person = _annotated(np.random.default_rng(3))
    candidates = [_detected(person, shift) for shift in (9.0, 2.0, -5.0)]
    assert _match([person], candidates) == [1]
    assert _match([person], candidates[::-1]) == [1]


def test_a_detected_person_belongs_to_one_annotated_person_only():
    first = _annotated(np.random.default_rng(4))
    second = first.copy()
    second[:12, 0] += 10
    assert _match([first, second], [_detected(first, 2.0)]) == [0, None]
    assert _match([first, second], [_detected(second, 1.0), _detected(first, 1.0)]) == [1, 0]


def test_a_missed_person_does_not_push_its_neighbour_to_another_detection():
    # B has no detection. A's own fits A perfectly and B badly; a third person's fits A badly.
    first = _annotated(np.random.default_rng(5))
    second = first.copy()
    second[:12, 0] += 19
    assert _match([first, second], [_detected(first), _detected(first, -19.0)]) == [0, None]


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_no_detection_is_given_away_twice_and_every_match_fits(seed, n_annotated, n_detected):
    rng = np.random.default_rng(seed)
    annotated = [_annotated(rng, at=rng.uniform(0, 30)) for _ in range(n_annotated)]
    detected = np.zeros((n_detected, 25, 3))
    for index in range(n_detected):
        detected[index] = _detected(annotated[rng.integers(n_annotated)], rng.normal(0, 15))
        detected[index, rng.random(25) < 0.3] = 0
    matches = _match(annotated, detected)
    taken = [match for match in matches if match is not None]
    assert len(taken) == len(set(taken))
    for row, match in enumerate(matches):
        if match is not None:
            seen = detected[match, LIMBS25, 2] > 0
            gaps = np.hypot(*(detected[match, LIMBS25, :2] - annotated[row][:12, :2])[seen].T)
            assert gaps.mean() <= 0.1 * BOX


@pytest.mark.parametrize(
    ("threshold", "shift", "expected"),
    [(30.0, 1.0, 0), (30.0, 25.0, None), (30.0, 60.0, 0), (30.0, 500.0, 0), (0.0, 500.0, 0), (10.0, 25.0, 0)],
)
def test_the_published_match_is_kept_with_its_faults(threshold, shift, expected):
    person = _annotated(np.random.default_rng(6))
    person[:12, :2] = person[:12, :2] * 186 / np.ptp(person[:, :2], axis=0).max()
    assert match_as_published(person, np.stack([_detected(person, shift)]), threshold) == expected


def test_the_published_match_takes_person_0_if_nobody_is_complete():
    rng = np.random.default_rng(7)
    person = _annotated(rng)
    incomplete = _detected(person)
    incomplete[LIMBS25[0], 2] = 0
    stranger = incomplete.copy()
    stranger[:, 0] += 500
    assert match_as_published(person, np.stack([stranger, incomplete]), 10.0) == 0
    assert match_as_published(person, np.zeros((0, 25, 3)), 10.0) is None


def test_merged_joints_are_detections_then_annotations():
    rng = np.random.default_rng(8)
    annotated, detected = rng.random((24, 3)), rng.random((25, 3))
    merged = merge_joints(annotated, detected)
    np.testing.assert_array_equal(merged[:25], detected)
    np.testing.assert_array_equal(merged[25:], annotated)
    assert not merge_joints(None, None).any()


def test_arguments_are_untouched():
    person = _annotated(np.random.default_rng(9))
    annotated, detected = np.stack([person]), np.stack([_detected(person, 3.0)])
    copies = annotated.copy(), detected.copy()
    match_people(annotated, np.zeros((1, 2)), np.array([BOX]), detected, 0.1, 3)
    match_as_published(person, detected, 10.0)
    np.testing.assert_array_equal(annotated, copies[0])
    np.testing.assert_array_equal(detected, copies[1])


def test_detections_stand_at_the_images_path(tmp_path):
    assert (
        detections_path(tmp_path, "S1/a.b/img_1.x.jpg") == tmp_path / "S1" / "a.b" / "img_1.x_keypoints.json"
    )


def test_people_are_read_as_written_and_unseen_joints_are_zero(tmp_path, write_openpose):
    people = np.random.default_rng(0).uniform(0.1, 1, (3, 25, 3))
    people[1, 4] = [33.0, 44.0, 0.0]
    people[2, 5, 2] = 1.02
    path = tmp_path / "a_keypoints.json"
    write_openpose(path, people)
    found = read_openpose(path)
    assert found is not None
    people[1, 4] = 0
    people[2, 5, 2] = 1.0
    np.testing.assert_array_equal(found, people)


def test_no_file_and_nobody_are_told_apart(tmp_path, write_openpose):
    assert read_openpose(tmp_path / "none_keypoints.json") is None
    path = tmp_path / "a_keypoints.json"
    write_openpose(path, np.zeros((0, 25, 3)))
    found = read_openpose(path)
    assert found is not None
    assert found.shape == (0, 25, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "people: list missing"),
        (json.dumps({"people": [{}]}), r"people\[0\]\.pose_keypoints_2d: expected 75 .*, found 0"),
        (
            json.dumps({"people": [{"pose_keypoints_2d": [0] * 54}]}),
            r"expected 75 numbers \(BODY_25\), found 54",
        ),
        (json.dumps({"people": [{"pose_keypoints_2d": [[0]]}]}), "expected 75 numbers"),
        (json.dumps({"people": [{"pose_keypoints_2d": ["x"] * 75}]}), "expected 75 numbers"),
        (json.dumps({"people": [{"pose_keypoints_2d": [-1] * 75}]}), "a score is negative"),
        (json.dumps({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}), "not finite"),
    ],
)
def test_a_file_that_is_not_openposes_is_one_line_with_the_cure(tmp_path, content, message):
    path = tmp_path / "a_keypoints.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_openpose(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
