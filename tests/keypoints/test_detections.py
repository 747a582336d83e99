"""OpenPose's files, and files of COCO's 17 joints in their place."""

import json

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.keypoints.detections import detections_path, open_detections, openpose_from_coco, read_openpose
from spinloop.keypoints.merge import merge_records
from spinloop.tables.records import ReadCounts

# COCO's joints in BODY_25, by hand: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
COCO_IN_25 = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]


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


def _person(rng: np.random.Generator, at: float = 0.0) -> np.ndarray:
    return np.concatenate([at + rng.uniform(1, 160, (17, 2)), rng.uniform(0.2, 1, (17, 1))], axis=1)


def _write(path, entries):
    path.write_text(json.dumps(entries))
    return open_detections(path)


def test_every_joint_of_coco_lands_where_body_25_has_it():
    joints = _person(np.random.default_rng(0))
    found = openpose_from_coco(joints)
    np.testing.assert_array_equal(found[COCO_IN_25], joints)
    assert not found[19:].any(), "COCO has no feet"


def test_neck_and_mid_hip_are_midpoints_with_the_lower_score():
    joints = _person(np.random.default_rng(1))
    found = openpose_from_coco(joints)
    np.testing.assert_allclose(found[1], [*(joints[5, :2] + joints[6, :2]) / 2, joints[5:7, 2].min()])
    np.testing.assert_allclose(found[8], [*(joints[11, :2] + joints[12, :2]) / 2, joints[11:13, 2].min()])
    joints[6] = 0
    assert not openpose_from_coco(joints)[1].any(), "half a neck is no neck"


def test_cocos_results_are_found_by_the_number_in_the_images_name(tmp_path):
    rng = np.random.default_rng(2)
    people = [_person(rng) for _ in range(3)]
    results = [
        {"image_id": 785, "category_id": 1, "keypoints": people[row].reshape(-1).tolist(), "score": 0.9}
        for row in (0, 1)
    ] + [{"image_id": 40, "category_id": 1, "keypoints": people[2].reshape(-1).tolist(), "score": 0.9}]
    detections = _write(tmp_path / "results.json", results)
    for image in ("val2017/000000000785.jpg", "val2014/COCO_val2014_000000000785.jpg"):
        found = detections.of(image)
        assert found.shape == (2, 25, 3)
        np.testing.assert_allclose(found[1][COCO_IN_25], people[1])
    assert detections.of("val2017/000000000007.jpg") is None
    assert detections.for_nobody(["val2017/000000000785.jpg"]) == ["#40"]


def test_file_names_may_stand_below_the_datasets_or_the_subsets_folder(tmp_path):
    rng = np.random.default_rng(3)
    one, other = _person(rng), _person(rng)
    entries = [
        {"file_name": "images/im0001.jpg", "keypoints": one.tolist(), "score": 1.0},
        {"image": "im0002.jpg", "keypoints": other[:, :2].tolist(), "keypoint_scores": other[:, 2].tolist()},
    ]
    detections = _write(tmp_path / "rtmpose.json", entries)
    np.testing.assert_allclose(detections.of("images/im0001.jpg")[0][COCO_IN_25], one)
    np.testing.assert_allclose(detections.of("images/im0002.jpg")[0][COCO_IN_25], other)


def test_scores_beyond_their_range_are_clipped_and_unseen_joints_are_zero(tmp_path):
    joints = _person(np.random.default_rng(4))
    joints[0, 2], joints[9, 2], joints[10, 2] = 7.5, 0.0, -0.3
    detections = _write(tmp_path / "d.json", [{"file_name": "a.jpg", "keypoints": joints.tolist()}])
    found = detections.of("a.jpg")[0][COCO_IN_25]
    assert found[0, 2] == 1.0
    assert not found[[9, 10]].any()


def test_merging_takes_them_as_it_takes_openposes(tmp_path, make_record, merge_params):
    rng = np.random.default_rng(5)
    people = {number: _person(rng, 300.0 * number) for number in (1, 2)}
    records = []
    for number, joints in people.items():
        keypoints = np.zeros((24, 3))
        # The twelve limb joints of the 24 by COCO's numbers.
        keypoints[:12, :2] = joints[[16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9], :2] + 2.0
        keypoints[:12, 2] = 1
        records.append(make_record(number, "images/a.jpg", keypoints=keypoints))
    entries = [{"file_name": "images/a.jpg", "keypoints": people[n].tolist(), "score": 1.0} for n in (2, 1)]
    entries.append({"file_name": "images/b.jpg", "keypoints": people[1].tolist(), "score": 1.0})
    counts = ReadCounts()
    detections = _write(tmp_path / "d.json", entries)
    rows = list(merge_records(records, detections, merge_params, None, counts))
    assert [row["provenance"] for row in rows] == ["matched", "matched"]
    for row, joints in zip(rows, people.values(), strict=True):
        np.testing.assert_allclose(row["keypoints"][COCO_IN_25], joints)
    assert counts.stats()["noted"] == {"matched": 2, "detections_for_nobody": 1}


def test_real_annotations_pass_as_cocos_results(shared_data, tmp_path):
    content = json.loads((shared_data / "coco_keypoints" / "test_coco.json").read_text())
    results = [
        {"image_id": one["image_id"], "category_id": 1, "keypoints": one["keypoints"], "score": 1.0}
        for one in content["annotations"]
        if one["num_keypoints"]
    ]
    detections = _write(tmp_path / "results.json", results)
    names = {image["id"]: f"val2017/{image['file_name']}" for image in content["images"]}
    assert detections.for_nobody(names.values()) == []
    counts = {number: len(detections.of(name)) for number, name in names.items()}
    assert sum(counts.values()) == len(results) == 12
    skier = detections.of("val2017/000000000785.jpg")[0]
    expected = next(np.array(one["keypoints"]).reshape(17, 3) for one in results if one["image_id"] == 785)
    np.testing.assert_allclose(skier[COCO_IN_25, :2], expected[:, :2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not valid JSON"),
        ("{}", r"expected a list, found dict; write a list of \{image_id or file_name"),
        ("[[]]", "entry 0: image_id or file_name missing"),
        ('[{"keypoints": []}]', "entry 0: image_id or file_name missing"),
        ('[{"image_id": 1, "keypoints": [1, 2]}]', r"entry 0: keypoints: expected 51 numbers .*, found 2"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "keypoints: expected 51 numbers"),
        (json.dumps([{"image_id": 1, "keypoints": [[1, 2]] * 17}]), "keypoints: expected 51 numbers"),
        (json.dumps([{"image_id": 1, "keypoints": [float("nan")] * 51}]), "not finite"),
    ],
)
def test_a_file_that_is_no_list_of_detections_is_one_line_with_the_cure(tmp_path, content, message):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        open_detections(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_path_with_nothing_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing: no such folder; give OpenPose's output, a JSON file"):
        open_detections(tmp_path / "nothing")
