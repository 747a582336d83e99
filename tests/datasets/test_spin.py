"""SPIN's dataset_extras: read as its documentation has them, written so, and there and back."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spinloop.datasets.spin import Extras
from spinloop.errors import UserError
from spinloop.joints import MODEL49
from spinloop.keypoints.merge import KEYPOINTS, load_keypoints
from spinloop.stages import export_official, import_official
from spinloop.tables.records import load_records, save_records
from spinloop.tables.table import save_table

IMAGES = ["train/b.jpg", "train/a.jpg", "train/b.jpg", "train/b.jpg"]


@pytest.fixture
def raw(tmp_path, write_jpeg):
    for number, name in enumerate(sorted(set(IMAGES))):
        write_jpeg(tmp_path / "raw" / name, 200 + number, 300)
    return tmp_path / "raw"


def _extras(**more) -> dict[str, np.ndarray]:
    """A training file as the published preprocessing writes it."""
    rng = np.random.default_rng(0)
    part, openpose = np.zeros((4, 24, 3)), np.zeros((4, 25, 3))
    part[:, :14] = np.concatenate([rng.uniform(1, 190, (4, 14, 2)), np.ones((4, 14, 1))], axis=-1)
    openpose[[0, 1, 3]] = np.concatenate([rng.uniform(1, 190, (3, 25, 2)), rng.random((3, 25, 1))], axis=-1)
    arrays = {
        "imgname": np.array(IMAGES), "center": rng.uniform(50, 150, (4, 2)), "scale": rng.uniform(0.4, 1, 4),
        "part": part, "openpose": openpose,
    }  # fmt: skip
    return arrays | more


def _import(tmp_path, raw, arrays, split="coco_train"):
    file = tmp_path / "extras.npz"
    np.savez(file, **arrays)
    out = {key: tmp_path / "imported" / key for key in ("out", "keypoints", "stats")}
    import_official.run(file=file, split=split, raw=raw, **out)
    return load_records(out["out"]), load_keypoints(out["keypoints"])


def test_ids_are_the_images_name_and_its_occurrence(tmp_path, raw):
    records, keypoints = _import(tmp_path, raw, _extras())
    expected = ["train/b.jpg#0", "train/a.jpg#0", "train/b.jpg#1", "train/b.jpg#2"]
    assert records["id"].tolist() == [f"coco_train/{name}" for name in expected]
    assert keypoints["id"].tolist() == records["id"].tolist()
    assert records["image_height"].tolist() == [201, 200, 201, 201]


def test_joints_and_detections_are_taken_row_by_row(tmp_path, raw):
    arrays = _extras()
    records, keypoints = _import(tmp_path, raw, arrays)
    for row in range(4):
        np.testing.assert_array_equal(records["center"][row], arrays["center"][row])
        assert records["scale"][row] == arrays["scale"][row]
        np.testing.assert_allclose(records["keypoints"][row], arrays["part"][row], rtol=1e-6)
        merged = np.concatenate([arrays["openpose"][row], arrays["part"][row]])
        np.testing.assert_allclose(keypoints["keypoints"][row], merged, rtol=1e-6)
    assert keypoints["provenance"].tolist() == ["matched", "matched", "no_person", "matched"]
    assert records["joints_3d"].isna().all()
    assert records["pose"].isna().all()


def test_bodies_are_taken_where_the_file_says_so(tmp_path, raw):
    rng = np.random.default_rng(1)
    body = {"pose": rng.normal(size=(4, 72)), "shape": rng.normal(size=(4, 10))}
    joints = np.concatenate([rng.normal(size=(4, 24, 3)), np.ones((4, 24, 1))], axis=-1)
    arrays = _extras(S=joints, has_smpl=np.array([1.0, 0, 0, 1]), **body)
    records, _ = _import(tmp_path, raw, arrays)
    assert records["pose"].notna().tolist() == [True, False, False, True]
    np.testing.assert_allclose(records["pose"][3], body["pose"][3], rtol=1e-6)
    np.testing.assert_allclose(records["betas"][0], body["shape"][0], rtol=1e-6)
    np.testing.assert_allclose(records["joints_3d"][2], joints[2], rtol=1e-6)


def test_a_test_file_brings_genders_and_masks(tmp_path, raw):
    arrays = {key: value for key, value in _extras().items() if key != "openpose"}
    arrays["gender"] = np.array(["m", "f", "f", "m"])
    arrays["maskname"] = np.array([f"data/lsp/im{n}_segmentation.png" for n in range(4)])
    arrays["partname"] = np.array([f"data/lsp/im{n}_part_segmentation.png" for n in range(4)])
    records, _ = _import(tmp_path, raw, arrays)
    assert records["gender"].tolist() == ["male", "female", "female", "male"]
    assert records["mask"][2] == "upi-s1h/data/lsp/im2_segmentation.png"
    assert records["parts"][2] == "upi-s1h/data/lsp/im2_part_segmentation.png"


def test_scores_above_one_and_places_without_score_are_set_right(tmp_path, raw):
    arrays = _extras()
    arrays["openpose"][0, 0] = [5, 6, 1.03]
    arrays["openpose"][1, 0] = [5, 6, 0.0]
    _, keypoints = _import(tmp_path, raw, arrays)
    np.testing.assert_array_equal(keypoints["keypoints"][0][0], [5, 6, 1])
    assert not keypoints["keypoints"][1][0].any()


@pytest.fixture
def tables(tmp_path, make_record):
    """Four people of ours, of whom one has no detection and one no body, with ids that are no occurrences."""
    rng = np.random.default_rng(2)
    records, rows = [], []
    for number, image in zip((70, 20, 71, 75), IMAGES, strict=True):
        joints = np.concatenate([rng.uniform(1, 190, (24, 2)), np.ones((24, 1))], axis=-1)
        joints[14:] = 0
        record = make_record(number, image, keypoints=joints, image_height=201 if "b" in image else 200)
        record = dataclasses.replace(record, image_width=300)
        if number != 20:
            pose, betas = rng.normal(size=72), rng.normal(size=10)
            record = dataclasses.replace(record, pose=pose, betas=betas, gender="female")
        merged = np.zeros((len(MODEL49), 3))
        merged[25:] = joints
        if number != 71:
            merged[:25] = np.concatenate(
                [rng.uniform(1, 190, (25, 2)), rng.uniform(0.1, 1, (25, 1))], axis=-1
            )
        provenance = "no_person" if number == 71 else "matched"
        records.append(record)
        rows.append({"id": record.id, "center": record.center, "scale": record.scale, "keypoints": merged,
                     "provenance": provenance})  # fmt: skip
    save_records(tmp_path / "annotations.parquet", records)
    save_table(tmp_path / "keypoints.parquet", KEYPOINTS, rows)
    return tmp_path / "annotations.parquet", tmp_path / "keypoints.parquet"


def test_what_is_written_is_what_spins_loader_asks_for(tables, tmp_path):
    annotations, keypoints = tables
    export_official.run(annotations=annotations, keypoints=keypoints, out=tmp_path / "out.npz")
    records, merged = load_records(annotations), load_keypoints(keypoints)
    with np.load(tmp_path / "out.npz") as file:
        found = dict(file)
    wanted = {"imgname", "center", "scale", "part", "openpose", "pose", "shape", "has_smpl", "gender", "id"}
    assert found.keys() == wanted
    assert found["imgname"].tolist() == IMAGES
    assert found["has_smpl"].tolist() == [1, 0, 1, 1]
    assert found["gender"].tolist() == ["f", "", "f", "f"]
    assert not found["pose"][1].any()
    for row in range(4):
        np.testing.assert_array_equal(found["part"][row], records["keypoints"][row])
        np.testing.assert_array_equal(found["openpose"][row], merged["keypoints"][row][:25])
    assert {array.dtype.kind for array in found.values()} == {"f", "U"}


def test_there_and_back_is_the_same_table(tables, tmp_path, raw):
    annotations, keypoints = tables
    export_official.run(annotations=annotations, keypoints=keypoints, out=tmp_path / "out.npz")
    back = {key: tmp_path / "back" / key for key in ("out", "keypoints", "stats")}
    import_official.run(file=tmp_path / "out.npz", split="tiny", raw=raw, **back)
    old, new = load_records(annotations), load_records(back["out"])
    for column in ("id", "image", "image_height", "image_width", "scale", "gender"):
        assert old[column].tolist() == new[column].tolist()
    for column in ("center", "keypoints", "pose", "betas"):
        for one, other in zip(old[column], new[column], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=column)
    assert (tmp_path / "keypoints.parquet").read_bytes() == back["keypoints"].read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": np.zeros((4, 14, 3))}, r"part: expected shape \(4, 24, 3\), found \(4, 14, 3\)"),
        ({"scale": np.ones(3)}, r"scale: expected numbers of 4 people, found float64 of shape \(3,\)"),
        ({"id": np.array(["other/a#0"] * 4)}, "id: 'other/a#0' is not of split coco_train; give its --split"),
    ],
)
def test_a_file_that_is_not_spins_is_one_line_with_the_cure(tmp_path, change, message):
    np.savez(tmp_path / "x.npz", **_extras(**change))
    with pytest.raises(UserError, match=message):
        Extras(tmp_path / "x.npz", "coco_train")


def test_absent_damaged_and_foreign_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"x\.npz: no such file; docs/formats\.md shows"):
        Extras(tmp_path / "x.npz", "s")
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(UserError, match=r"x\.npz: imgname: array missing"):
        Extras(tmp_path / "x.npz", "s")
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(content[:60])
    with pytest.raises(UserError, match=r"x\.npz: not a readable npz"):
        Extras(tmp_path / "x.npz", "s")


def test_an_absent_image_stops_and_leaves_no_table(tmp_path, raw):
    (raw / IMAGES[0]).unlink()
    with pytest.raises(UserError, match=r"train/b\.jpg: no such image"):
        _import(tmp_path, raw, _extras())
    assert list((tmp_path / "imported").iterdir()) == []


def _as_prohmr(arrays, data):
    """The same people as ProHMR and 4D-Humans write them, in one of their ways."""
    part, openpose = arrays["part"][:, :19], arrays["openpose"]
    joined = data.draw(st.sampled_from(["apart", "44", "49"]))
    more = {"pose": arrays["pose"], "shape": arrays["shape"], "has_smpl": arrays["has_smpl"]}
    if joined == "apart":
        more |= {"body_keypoints_2d": openpose, "extra_keypoints_2d": part}
    else:
        rest = arrays["part"] if joined == "49" else part
        more |= {"part": np.concatenate([openpose, rest], axis=1)}
    if data.draw(st.booleans()):
        more["betas"], more["has_body_pose"] = more.pop("shape"), more.pop("has_smpl")
        pose = more.pop("pose")
        rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(4, 24, 3, 3)
        more |= data.draw(
            st.sampled_from(
                [
                    {"body_pose": pose},
                    {"body_pose": pose[:, 3:], "global_orient": pose[:, :3]},
                    {"body_pose": rotations[:, 1:], "global_orient": rotations[:, :1]},
                ]
            )
        )
    first = data.draw(st.sampled_from(["", "/scratch/me/coco/", "D:/coco/"]))
    images = np.array([f"{first}{name}" for name in IMAGES])
    more["imgname"] = images.astype("S") if data.draw(st.booleans()) else images
    scale = arrays["scale"] * data.draw(st.sampled_from([1, 200]))
    more["scale"] = np.stack([scale, scale / 2], 1) if data.draw(st.booleans()) else scale
    return more | {"center": arrays["center"], "has_hands": np.zeros(4)}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_training_files_of_spins_successors_give_the_same_people(tmp_path, raw, data):
    """Rename: keys, layouts, names and units of ProHMR and 4D-Humans."""
    rng = np.random.default_rng(1)
    bodies = {"pose": rng.normal(0, 0.3, (4, 72)), "shape": rng.normal(size=(4, 10))}
    arrays = _extras(has_smpl=np.array([1.0, 0, 1, 1]), **bodies)
    arrays["part"][:, 19:] = 0
    before, keypoints_before = _import(tmp_path, raw, arrays)
    after, keypoints_after = _import(tmp_path, raw, _as_prohmr(arrays, data))
    assert after["id"].tolist() == before["id"].tolist()
    for column in ("center", "scale", "keypoints", "pose", "betas"):
        for one, other in zip(before[column], after[column], strict=True):
            assert (one is None) == (other is None), column
            if one is not None:
                np.testing.assert_allclose(other, one, atol=1e-5, err_msg=column)
    for one, other in zip(keypoints_before["keypoints"], keypoints_after["keypoints"], strict=True):
        np.testing.assert_array_equal(one, other)
    stats = json.loads((tmp_path / "imported" / "stats").read_text())
    assert stats["examples"]["array_not_used"] == ["has_hands"]


def test_a_file_whose_annotations_have_unknown_names_is_refused_and_they_are_named(tmp_path):
    arrays = {key: _extras()[key] for key in ("imgname", "center", "scale")}
    np.savez(tmp_path / "x.npz", **arrays, gtkps=np.zeros((4, 137, 3)), pose_cam=np.zeros((4, 165)))
    with pytest.raises(
        UserError, match="neither joints nor bodies under a known name, but gtkps, pose_cam; "
    ):
        Extras(tmp_path / "x.npz", "coco_train")


def test_people_without_a_box_are_left_out_and_joints_that_are_no_numbers_are_not_seen(tmp_path, raw):
    arrays = _extras()
    arrays["scale"][1], arrays["part"][0, 0] = 0.0, np.nan
    records, _ = _import(tmp_path, raw, arrays)
    assert len(records) == 3
    assert not records["keypoints"][0][0].any()
