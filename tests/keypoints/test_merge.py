import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinloop.errors import UserError
from spinloop.keypoints.detections import open_detections
from spinloop.keypoints.joining import Named
from spinloop.keypoints.merge import (
    KEYPOINTS,
    load_keypoints,
    match_as_published,
    match_people,
    merge_joints,
    merge_records,
)
from spinloop.tables.records import ReadCounts
from spinloop.tables.table import save_table

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


def _keypoints(at: float) -> np.ndarray:
    rng = np.random.default_rng(int(at))
    keypoints = np.zeros((24, 3))
    keypoints[:12] = np.concatenate([at + rng.uniform(0, 100, (12, 2)), np.ones((12, 1))], axis=1)
    return keypoints


def _detection(keypoints: np.ndarray) -> np.ndarray:
    detection = np.zeros((25, 3))
    detection[LIMBS25] = keypoints[:12] * [1, 1, 0.5]
    detection[0] = [3.0, 4.0, 0.25]
    return detection


def _merge(records, openpose, params, published=None):
    counts = ReadCounts()
    return list(merge_records(records, _joined(openpose, records), params, published, counts)), counts


def _joined(openpose, records):
    images = dict.fromkeys((record.image, record.image_id) for record in records)
    return openpose and open_detections(openpose).joined(itertools.starmap(Named, images))


def test_each_persons_provenance_is_told_and_counted(tmp_path, make_record, write_openpose, merge_params):
    people = {number: _keypoints(100.0 * number) for number in range(1, 6)}
    place = [(1, "a/x.jpg"), (2, "a/x.jpg"), (3, "a/y.jpg"), (4, "b/x.jpg"), (5, "b/z.jpg")]
    records = [make_record(number, image, keypoints=people[number]) for number, image in place]
    write_openpose(tmp_path / "a" / "x_keypoints.json", np.stack([_detection(people[n]) for n in (2, 1)]))
    write_openpose(tmp_path / "a" / "y_keypoints.json", np.zeros((0, 25, 3)))
    write_openpose(tmp_path / "b" / "x_keypoints.json", np.stack([_detection(people[1])]))
    rows, counts = _merge(records, tmp_path, merge_params)
    assert [row["provenance"] for row in rows] == ["matched", "matched", "no_person", "rejected", "no_file"]
    assert [row["id"] for row in rows] == [record.id for record in records]
    for row, (number, _) in zip(rows, place, strict=True):
        np.testing.assert_array_equal(row["keypoints"][25:], people[number])
        expected = _detection(people[number]) if row["provenance"] == "matched" else np.zeros((25, 3))
        np.testing.assert_array_equal(row["keypoints"][:25], expected)
    assert counts.stats()["noted"] == {"matched": 2, "no_person": 1, "rejected": 1, "no_file": 1}
    assert (counts.n_read, counts.n_kept) == (5, 5)


def test_a_person_without_any_joint_is_counted_and_left_out(tmp_path, make_record, merge_params):
    records = [
        make_record(1),
        make_record(2, keypoints=np.zeros((24, 3))),
        make_record(3, keypoints=_keypoints(9)),
    ]
    rows, counts = _merge(records, tmp_path, merge_params)
    assert [row["id"] for row in rows] == [records[2].id]
    assert counts.stats()["left_out"] == {"no_visible_joint": 2}


def test_a_detection_file_for_nobody_is_counted_by_name(tmp_path, make_record, write_openpose, merge_params):
    keypoints = _keypoints(50)
    for name in ("images/a", "images/other", "more/a"):
        write_openpose(tmp_path / f"{name}_keypoints.json", np.stack([_detection(keypoints)]))
    rows, counts = _merge([make_record(1, keypoints=keypoints)], tmp_path, merge_params)
    assert [row["provenance"] for row in rows] == ["matched"]
    assert counts.stats()["noted"] == {"matched": 1, "detections_for_nobody": 2}
    assert counts.stats()["examples"]["detections_for_nobody"] == [
        "images/other_keypoints.json",
        "more/a_keypoints.json",
    ]


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("images/a.jpg", "images/a"),
        ("images/a.jpg", "a"),
        ("train2014/b/a.x.jpg", "b/a.x"),
        ("S1/Videos/Walking 1.54138969.mp4/000006.jpg", "S1/Videos/Walking 1.54138969.mp4/000006"),
        ("S1/Videos/Walking 1.54138969.mp4/000006.jpg", "S1/Videos/Walking 1.54138969_000000000005"),
        ("S1/Seq1/imageSequence/video_0.avi/000001.jpg", "S1/Seq1/imageSequence/video_0_000000000000"),
    ],
)
def test_files_are_found_in_all_layouts_that_openpose_writes(
    tmp_path, make_record, write_openpose, merge_params, image, file
):
    keypoints = _keypoints(70)
    write_openpose(tmp_path / f"{file}_keypoints.json", np.stack([_detection(keypoints)]))
    write_openpose(tmp_path / f"{file}9_keypoints.json", np.stack([_detection(keypoints)]))
    rows, counts = _merge([make_record(1, image, keypoints=keypoints)], tmp_path, merge_params)
    np.testing.assert_array_equal(rows[0]["keypoints"][:25], _detection(keypoints))
    assert counts.stats()["noted"] == {"matched": 1, "detections_for_nobody": 1}


def test_a_file_of_two_images_is_refused(tmp_path, make_record, write_openpose, merge_params):
    keypoints = _keypoints(70)
    write_openpose(tmp_path / "a_keypoints.json", np.stack([_detection(keypoints)]))
    records = [make_record(number, f"{number}/a.jpg", keypoints=keypoints) for number in (1, 2)]
    with pytest.raises(UserError, match=r": a: of 1/a\.jpg or of 2/a\.jpg\? put every file"):
        _merge(records, tmp_path, merge_params)


@pytest.mark.parametrize("name", ["images/b_keypoints.json", "a.json", "deep/a_pose.json"])
def test_a_folder_with_files_of_other_images_only_is_refused(
    tmp_path, make_record, write_openpose, merge_params, name
):
    write_openpose(tmp_path / name, np.stack([_detection(_keypoints(70))]))
    records = [make_record(number, f"images/{number}.jpg", keypoints=_keypoints(70)) for number in (2, 1)]
    message = rf"wanted e\.g\. images/1_keypoints\.json, found e\.g\. {name}; give the split's own detections"
    with pytest.raises(UserError, match=message) as caught:
        _merge(records, tmp_path, merge_params)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_a_list_of_other_images_only_is_refused(tmp_path, make_record, merge_params):
    path = tmp_path / "d.json"
    for key, found in (("image_id", 40), ("file_name", "val2017/b.jpg")):
        path.write_text(json.dumps([{key: found, "keypoints": [[10.0, 20.0, 1.0]] * 17}]))
        message = rf"d\.json: .*: wanted e\.g\. images/a\.jpg, found e\.g\. .*{found}; give the split's own"
        with pytest.raises(UserError, match=message):
            _merge([make_record(1, keypoints=_keypoints(3))], path, merge_params)


def test_an_empty_folder_and_an_empty_list_say_that_there_are_none(tmp_path, make_record, merge_params):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / ".gitkeep").touch()
    (tmp_path / "none.json").write_text("[]")
    for name in ("none", "none.json"):
        rows, counts = _merge([make_record(1, keypoints=_keypoints(3))], tmp_path / name, merge_params)
        assert len(rows) == 1
        assert counts.stats()["noted"] == {"no_file": 1}


def test_without_detections_the_annotation_stands_alone(make_record, merge_params):
    rows, counts = _merge([make_record(1, keypoints=_keypoints(3))], None, merge_params)
    assert not rows[0]["keypoints"][:25].any()
    assert counts.stats()["noted"] == {"no_file": 1}


def test_the_published_match_can_be_had(tmp_path, make_record, write_openpose, merge_params):
    keypoints = _keypoints(50)
    write_openpose(
        tmp_path / "images" / "a_keypoints.json", np.stack([_detection(keypoints + np.array([500, 0, 0]))])
    )
    record = make_record(1, keypoints=keypoints)
    assert _merge([record], tmp_path, merge_params)[0][0]["provenance"] == "rejected"
    assert _merge([record], tmp_path, merge_params, "coco")[0][0]["provenance"] == "matched"


def test_the_table_comes_back(tmp_path, make_record, merge_params):
    rows, _ = _merge([make_record(1, keypoints=_keypoints(3))], None, merge_params)
    save_table(tmp_path / "k.parquet", KEYPOINTS, rows)
    frame = load_keypoints(tmp_path / "k.parquet")
    assert list(frame.columns) == ["id", "center", "scale", "keypoints", "provenance"]
    np.testing.assert_array_equal(frame["keypoints"][0], rows[0]["keypoints"].astype(np.float32))


def _published_match(part: np.ndarray, path, threshold: float) -> np.ndarray:
    """The detected joints (25, 3) that the published code takes, zeros for nobody."""
    people = json.loads(path.read_text())["people"]
    if not people:
        return np.zeros((25, 3))
    found = [np.array(person["pose_keypoints_2d"]).reshape(25, 3) for person in people]
    distances = []
    for person in found:
        gaps, is_complete = [], True
        for detected, annotated in zip([11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7], range(12), strict=True):
            is_complete &= person[detected, 2] > 0
            gaps.append(np.hypot(*(person[detected, :2] - part[annotated, :2])))
        distances.append(np.mean(gaps) if is_complete else np.inf)
    size = max(np.ptp(part[:, 0]), np.ptp(part[:, 1]))
    least = min(distances)
    if least / size > 0.1 and least < threshold:
        return np.zeros((25, 3))
    return found[distances.index(least)]


@pytest.mark.parametrize(("dataset", "threshold"), [("mpii", 30.0), ("coco", 10.0), ("other", 0.0)])
def test_the_match_of_detections(dataset, threshold, tmp_path, make_record, write_openpose, merge_params):
    rng = np.random.default_rng(3)
    records = []
    for number in range(40):
        part = np.zeros((24, 3))
        part[:14, :2], part[:14, 2] = rng.uniform(5, 120, (14, 2)), 1
        people = rng.uniform(5, 120, (int(rng.integers(0, 4)), 25, 3))
        for person in people:
            person[:, 2] = rng.uniform(0.1, 1, 25)
            if rng.random() < 0.7:
                shift = rng.normal(0, rng.choice([1.0, 6.0, 25.0, 200.0]), 2)
                person[[11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7], :2] = part[:12, :2] + shift
            person[rng.random(25) < rng.choice([0.0, 0.05])] = 0
        write_openpose(tmp_path / "images" / f"{number}_keypoints.json", people)
        records.append(make_record(number, f"images/{number}.jpg", keypoints=part))
    rows = list(merge_records(records, _joined(tmp_path, records), merge_params, dataset, ReadCounts()))
    n_taken = 0
    for number, (record, row) in enumerate(zip(records, rows, strict=True)):
        path = tmp_path / "images" / f"{number}_keypoints.json"
        expected = _published_match(record.keypoints, path, threshold)
        np.testing.assert_allclose(row["keypoints"][:25], expected)
        n_taken += bool(expected.any())
    assert 10 < n_taken < 40
