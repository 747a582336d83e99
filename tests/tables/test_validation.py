import dataclasses
import json

import numpy as np
import pytest
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.joints import COMMON24
from spinloop.params.loader import load_yaml
from spinloop.stages import validate
from spinloop.tables.records import ReadCounts, save_records
from spinloop.tables.validation import validate_records

# A person who faces the camera, m, y down: right side of the body at smaller x.
STANDING = {
    "right_ankle": (-0.1, 0.8), "right_knee": (-0.12, 0.4), "right_hip": (-0.12, 0.0),
    "left_ankle": (0.1, 0.8), "left_knee": (0.12, 0.4), "left_hip": (0.12, 0.0),
    "right_wrist": (-0.5, -0.2), "right_elbow": (-0.4, -0.4), "right_shoulder": (-0.2, -0.5),
    "left_wrist": (0.3, 0.0), "left_elbow": (0.3, -0.25), "left_shoulder": (0.2, -0.5),
}  # fmt: skip


@pytest.fixture
def standing(make_record):
    """A plausible person of 2D and 3D joints, 1 m = 100 px, in an image of 240 × 320."""
    joints = np.zeros((24, 4))
    for name, place in STANDING.items():
        joints[COMMON24.index(name)] = [*place, 0.0, 1.0]
    keypoints = np.zeros((24, 3))
    keypoints[:12] = np.concatenate([joints[:12, :2] * 100 + [160, 120], np.ones((12, 1))], axis=1)
    return make_record(1, center=np.array([160.0, 135.0]), scale=0.8, keypoints=keypoints, joints_3d=joints)


def _found(*records, raw=None, others=frozenset()) -> dict[str, int]:
    counts = ReadCounts()
    validate_records(records, raw, set(others), counts)
    assert counts.n_kept == len(records)
    return counts.stats()["noted"]


def _swap(array: np.ndarray, *pairs: str) -> np.ndarray:
    array = array.copy()
    for name in pairs:
        left, right = COMMON24.index(f"left_{name}"), COMMON24.index(f"right_{name}")
        array[[left, right]] = array[[right, left]]
    return array


def test_a_plausible_person_gives_no_finding(standing):
    assert _found(standing) == {}


def test_all_sides_swapped_between_2d_and_3d_are_found(standing):
    joints = _swap(standing.joints_3d, "ankle", "knee", "hip", "wrist", "elbow", "shoulder")
    assert _found(dataclasses.replace(standing, joints_3d=joints)) == {"sides_swapped_in_3d": 1}


def test_shoulders_annotated_against_the_hips_are_found(standing):
    keypoints = _swap(standing.keypoints, "shoulder", "elbow", "wrist")
    bad = dataclasses.replace(standing, keypoints=keypoints, joints_3d=None)
    assert _found(bad) == {"shoulders_against_hips": 1}


def test_joints_outside_image_and_box_are_found(standing):
    keypoints = standing.keypoints.copy()
    keypoints[0, 0] = 400
    bad = dataclasses.replace(standing, keypoints=keypoints, joints_3d=None)
    assert _found(bad) == {"joints_outside_image": 1, "joints_outside_box": 1}


def test_a_box_beside_the_image_is_found(make_record):
    assert _found(make_record(1, center=np.array([400.0, 120.0]))) == {"box_outside_image": 1}


def test_a_person_who_stands_there_twice_is_found(standing, make_record):
    again = dataclasses.replace(standing, id="tiny/images/a.jpg#2", person=2)
    assert _found(standing, again) == {"person_twice": 1}
    elsewhere = dataclasses.replace(again, image="images/b.jpg")
    assert _found(standing, elsewhere) == {}
    assert _found(make_record(1), make_record(2)) == {"person_twice": 1}


def test_images_are_looked_for(make_record, tmp_path, write_jpeg):
    write_jpeg(tmp_path / "good.jpg", 240, 320)
    write_jpeg(tmp_path / "other.jpg", 24, 32)
    (tmp_path / "text.jpg").write_text("no image")
    records = [make_record(1, f"{name}.jpg") for name in ("good", "other", "text", "none")]
    assert _found(*records, raw=tmp_path) == {
        "image_size_differs": 1, "image_unreadable": 1, "image_absent": 1,
    }  # fmt: skip


def _validate(tmp_path, **options) -> dict:
    out = tmp_path / "found.json"
    validate.run(table=tmp_path / "table.parquet", out=out, **options)
    return json.loads(out.read_text())


def test_the_stage_writes_what_it_found(standing, tmp_path):
    save_records(tmp_path / "table.parquet", [standing])
    assert _validate(tmp_path) == {"rows": 1, "found": {}, "examples": {}}


def test_a_split_that_shares_an_image_with_another_fails(standing, make_record, tmp_path):
    save_records(tmp_path / "table.parquet", [standing])
    save_records(tmp_path / "test.parquet", [make_record(5)])
    with pytest.raises(UserError, match="image in another split: 1, first tiny/images/a"):
        _validate(tmp_path, against=[tmp_path / "test.parquet"])
    assert json.loads((tmp_path / "found.json").read_text())["found"] == {"image_in_another_split": 1}


def test_a_further_test_split_is_compared_with_training(make_record, tmp_path, repository):
    """It is added to `evaluate.splits`; the command in dvc.yaml names the folder."""
    values = load_yaml(repository / "params.yaml")
    tables = tmp_path / "annotations"
    for name in (*values["evaluate"]["splits"], "coco_train"):
        save_records(tables / f"{name}.parquet", [make_record(1, f"{name}.jpg")])
    for split in ("coco_train", "mine"):
        save_records(tables / f"{split}.parquet", [make_record(5)])
    options = {"table": tables / "coco_train.parquet", "out": tmp_path / "found.json", "against": [tables]}
    YAML().dump(values, tmp_path / "params.yaml")
    validate.run(**options, params=tmp_path / "params.yaml")
    values["evaluate"]["splits"]["mine"] = "pw3d@1"
    YAML().dump(values, tmp_path / "params.yaml")
    with pytest.raises(UserError, match="image in another split: 1"):
        validate.run(**options, params=tmp_path / "params.yaml")


def test_an_absent_image_fails(standing, tmp_path):
    save_records(tmp_path / "table.parquet", [standing])
    with pytest.raises(UserError, match="image absent: 1, first tiny/images/a"):
        _validate(tmp_path, raw=tmp_path)


def test_tests_are_not_compared_with_each_other(standing, make_record, tmp_path):
    save_records(tmp_path / "table.parquet", [standing])
    save_records(tmp_path / "other.parquet", [make_record(5)])
    tests = [tmp_path / "table.parquet", tmp_path / "other.parquet"]
    assert _validate(tmp_path, against=tests)["found"] == {}


def test_masks_are_looked_for(make_record, tmp_path, write_jpeg):
    write_jpeg(tmp_path / "a.jpg", 240, 320)
    write_jpeg(tmp_path / "small.png", 24, 32)
    record = make_record(1, "a.jpg", mask="none.png", parts="small.png")
    assert _found(record, raw=tmp_path) == {"mask_absent": 1, "mask_size_differs": 1}
    save_records(tmp_path / "table.parquet", [record])
    with pytest.raises(UserError, match="mask absent: 1, first tiny/a"):
        _validate(tmp_path, raw=tmp_path)


def test_a_sequence_with_more_or_fewer_images_than_frames_is_named(make_record, tmp_path, write_jpeg):
    records = []
    for name, n_images in (("walk", 3), ("run", 4), ("sit", 3)):
        for frame in range(n_images):
            write_jpeg(tmp_path / name / f"{frame}.jpg", 240, 320)
        for frame in range(3):
            image = f"{name}/{frame}.jpg"
            records.append(make_record(frame, image, sequence=name, frame=frame))
    counts = ReadCounts()
    validate_records(records, tmp_path, set(), counts)
    assert counts.stats()["noted"] == {"frame_count_differs": 1}
    assert counts.stats()["examples"]["frame_count_differs"] == ["run: 3 frames, 4 images"]
