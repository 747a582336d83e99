import json

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.keypoints.merge import KEYPOINTS, load_keypoints, merge_records, open_detections
from spinloop.tables.records import ReadCounts
from spinloop.tables.table import save_table

LIMBS25 = [11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7]


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
    return list(
        merge_records(records, openpose and open_detections(openpose), params, published, counts)
    ), counts


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
    with pytest.raises(UserError, match=r"a_keypoints\.json: of 1/a\.jpg or of 2/a\.jpg\? put every file"):
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
        path.write_text(json.dumps([{key: found, "keypoints": [[1.0, 2.0, 1.0]] * 17}]))
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
