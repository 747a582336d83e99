"""The stages on tiny native trees: what they write, what they say, and what they leave behind."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spinloop.errors import UserError
from spinloop.keypoints.merge import load_keypoints
from spinloop.stages import merge, pack_crops, preprocess
from spinloop.tables.crops import CropReader
from spinloop.tables.images import read_image
from spinloop.tables.records import load_records

PARAMS = """
sources:
  coco_train: {reader: coco, raw: x, openpose: null, subset: train2014, box_factor: 1.2, min_limb_joints: 6}
  pw3d_test: {reader: pw3d, raw: x, subset: test, box_factor: 1.2}
merge: {max_distance: 0.1, min_common_joints: 3}
crops: {size_px: 32, margin: 1.5, jpeg_quality: 90}
"""


@pytest.fixture
def params(tmp_path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


def _preprocess(raw: Path, params: Path, out: Path, **more) -> Path:
    table = out / "table.parquet"
    options = {"split": "coco_train", "source": "coco", "compat": "none", **more}
    preprocess.run(raw=raw, out=table, stats=out / "preprocess.json", params=params, **options)
    return table


def _everything(raw: Path, params: Path, out: Path) -> None:
    table = _preprocess(raw, params, out)
    stats = out / "merge.json"
    merge.run(annotations=table, out=out / "keypoints.parquet", stats=stats, openpose=None, params=params)
    stats = out / "pack_crops.json"
    pack_crops.run(annotations=table, raw=raw, out=out / "crops.h5", stats=stats, params=params)


def test_the_same_people_go_through_all_three(coco_tree, params, tmp_path):
    out = tmp_path / "out"
    _everything(coco_tree, params, out)
    ids = load_records(out / "table.parquet")["id"].tolist()
    assert len(ids) == 3
    assert load_keypoints(out / "keypoints.parquet")["id"].tolist() == ids
    assert CropReader(out / "crops.h5").ids == ids


def test_statistics_say_what_was_read_kept_and_left_out_and_why(coco_tree, params, tmp_path):
    out = tmp_path / "out"
    _everything(coco_tree, params, out)
    stats = json.loads((out / "preprocess.json").read_text())
    assert (stats["read"], stats["kept"], sum(stats["left_out"].values())) == (7, 3, 4)
    assert (stats["split"], stats["source"], stats["compat"]) == ("coco_train", "coco", "none")
    assert json.loads((out / "merge.json").read_text())["noted"] == {"no_file": 3}
    assert json.loads((out / "pack_crops.json").read_text())["kept"] == 3


def test_two_runs_give_the_same_bytes(coco_tree, params, tmp_path):
    for name in ("first", "second"):
        _everything(coco_tree, params, tmp_path / name)
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_official_compatibility_reaches_the_reader(coco_tree, params, tmp_path):
    table = _preprocess(coco_tree, params, tmp_path / "out", compat="official")
    assert load_records(table)["person"].tolist() == [50, 31]


def test_3dpw_goes_through_with_pose_shape_and_gender(pw3d_tree, params, tmp_path):
    table = _preprocess(pw3d_tree, params, tmp_path / "out", split="pw3d_test", source="pw3d")
    frame = load_records(table)
    assert len(frame) == 8
    assert frame["pose"].notna().all()
    assert set(frame["gender"]) == {"female", "male"}
    assert np.stack(frame["betas"].tolist()).shape == (8, 10)


def _fails(message: str):
    return pytest.raises(UserError, match=message)


def test_wrong_parameters_are_named_by_their_key(coco_tree, params, tmp_path):
    out = tmp_path / "out"
    params.write_text(PARAMS.replace("subset: train2014", "subset: train2041"))
    with _fails(r"params\.yaml: sources\.coco_train\.subset: .*got 'train2041'"):
        _preprocess(coco_tree, params, out)
    params.write_text(PARAMS.replace("min_limb_joints: 6", "min_limb_joints: 13"))
    with _fails(r"sources\.coco_train\.min_limb_joints: .*less than or equal to 12, got 13"):
        _preprocess(coco_tree, params, out)
    params.write_text(PARAMS.replace("min_limb_joints", "min_limbs"))
    with _fails(r"sources\.coco_train\.min_limbs: unknown key"):
        _preprocess(coco_tree, params, out)
    params.write_text(PARAMS)
    with _fails(r"--split other: not in .*params\.yaml: sources; give one of coco_train, pw3d_test"):
        _preprocess(coco_tree, params, out, split="other")
    with _fails(r"--source cocoa: no such reader; one of coco, .*pw3d"):
        _preprocess(coco_tree, params, out, source="cocoa")
    with _fails(r"sources\.pw3d_test\.reader: .*'coco', got 'pw3d'"):
        _preprocess(coco_tree, params, out, split="pw3d_test")
    assert not out.exists()


def test_an_absent_dataset_is_named(params, tmp_path):
    with _fails(r"nowhere: no such folder; unpack the dataset there or correct sources\.coco_train\.raw"):
        _preprocess(tmp_path / "nowhere", params, tmp_path / "out")


def test_a_failure_in_the_middle_leaves_no_file(coco_tree, params, tmp_path, monkeypatch):
    def fail_at_the_second(path):
        if path.name.endswith("7.jpg"):
            raise UserError(f"{path}: the disk is gone")
        return 240, 320

    monkeypatch.setattr("spinloop.datasets.coco.read_size_or_none", fail_at_the_second)
    with _fails("the disk is gone"):
        _preprocess(coco_tree, params, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dataset_in_which_nobody_can_be_used_stops(coco_tree, params, tmp_path):
    path = coco_tree / "annotations" / "person_keypoints_train2014.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    path.write_text(json.dumps(content))
    with _fails(r"0 of 7 kept; left out: 7 crowd; check the folder, or loosen the rules in sources"):
        _preprocess(coco_tree, params, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_absent_folder_of_detections_is_named(coco_tree, params, tmp_path):
    out = tmp_path / "out"
    table = _preprocess(coco_tree, params, out)
    with _fails(r"none: no such folder; give a detector's output, .* or an empty folder if there are none"):
        merge.run(
            annotations=table, out=out / "k.parquet", stats=out / "k.json", openpose=tmp_path / "none",
            params=params,
        )  # fmt: skip


def test_an_empty_folder_of_detections_leaves_the_annotated_joints_as_they_are(coco_tree, params, tmp_path):
    table = _preprocess(coco_tree, params, tmp_path)
    (tmp_path / "none").mkdir()
    out, stats = tmp_path / "keypoints.parquet", tmp_path / "merge.json"
    merge.run(annotations=table, out=out, stats=stats, openpose=tmp_path / "none", params=params)
    keypoints = np.stack(load_keypoints(out)["keypoints"].tolist())
    assert not keypoints[:, :25].any()
    np.testing.assert_array_equal(keypoints[:, 25:], np.stack(load_records(table)["keypoints"].tolist()))
    assert json.loads(stats.read_text())["noted"] == {"no_file": len(keypoints)}


def test_a_broken_detection_file_stops_the_merge_and_leaves_no_file(coco_tree, params, tmp_path):
    out = tmp_path / "out"
    table = _preprocess(coco_tree, params, out)
    broken = tmp_path / "openpose" / "train2014" / "COCO_train2014_000000000003_keypoints.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"people": [')
    with _fails(r"000003_keypoints\.json: not valid JSON"):
        merge.run(
            annotations=table, out=out / "k.parquet", stats=out / "k.json", openpose=tmp_path / "openpose",
            params=params,
        )  # fmt: skip
    assert not (out / "k.parquet").exists()


@pytest.fixture
def own_labels(tmp_path, write_jpeg) -> Path:
    """Three images whose ids are not the numbers in their names, one person in each."""
    raw, names = tmp_path / "own", ["cam_0003.jpg", "cam_0001.jpg", "cam_0002.jpg"]
    rng = np.random.default_rng(0)
    people = np.concatenate([rng.uniform(20, 200, (3, 17, 2)), np.full((3, 17, 1), 2.0)], axis=-1)
    content = {
        "images": [
            {"id": n + 1, "file_name": name, "width": 320, "height": 240} for n, name in enumerate(names)
        ],
        "annotations": [
            {"id": 101 + n, "image_id": n + 1, "category_id": 1, "keypoints": one.reshape(-1).tolist()}
            for n, one in enumerate(people)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (raw / "annotations").mkdir(parents=True)
    (raw / "annotations" / "person_keypoints_train2014.json").write_text(json.dumps(content))
    for name in names:
        write_jpeg(raw / "train2014" / name, 240, 320)
    results = [
        {"image_id": n + 1, "category_id": 1, "keypoints": np.add(one, [1, 1, -1.1]).reshape(-1).tolist()}
        for n, one in enumerate(people)
    ]
    (raw / "results.json").write_text(json.dumps(results))
    return raw


def test_a_detection_joins_the_image_of_its_id_through_all_stages(own_labels, params, tmp_path):
    out = tmp_path / "out"
    table = _preprocess(own_labels, params, out)
    stats = out / "merge.json"
    openpose = own_labels / "results.json"
    merge.run(annotations=table, out=out / "k.parquet", stats=stats, openpose=openpose, params=params)
    keypoints = load_keypoints(out / "k.parquet")
    assert sorted(keypoints["id"].str.rpartition("#")[2]) == ["101", "102", "103"]
    assert keypoints["provenance"].tolist() == ["matched"] * 3
    for joints in keypoints["keypoints"]:
        seen = [(a, b) for a, b in ((5, 34), (2, 33), (10, 26), (13, 29)) if joints[b, 2] > 0]
        assert len(seen) == 4
        for detected, annotated in seen:
            np.testing.assert_allclose(joints[detected, :2] - joints[annotated, :2], 1.0, atol=1e-4)
    found = json.loads(stats.read_text())["detections"]
    assert found["read_as"] == {"COCO results, COCO 17": 1}
    assert found["joined_by"] == {"id": 3}


def test_tables_of_before_that_lack_the_images_ids_are_read(own_labels, params, tmp_path):
    table = _preprocess(own_labels, params, tmp_path / "out")
    whole = pq.read_table(table)
    pq.write_table(whole.drop_columns(["image_id"]), table)
    records = load_records(table)
    assert records["image_id"].isna().all()
    assert len(records) == 3


def test_photographs_on_their_side_show_their_people_where_the_detector_saw_them(params, tmp_path):
    """Red squares at the joints of an upright picture that is stored on its side."""
    rng = np.random.default_rng(1)
    joints = np.concatenate([rng.uniform(30, 200, (25, 2)).round() + 0.5, np.full((25, 1), 0.8)], axis=1)
    upright = np.zeros((320, 240, 3), np.uint8)
    for x, y in joints[:, :2].astype(int):
        upright[y - 4 : y + 5, x - 4 : x + 5, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = tmp_path / "photos"
    raw.mkdir()
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    stored.save(raw / "phone.jpg", exif=exif, quality=95)
    people = {"people": [{"pose_keypoints_2d": joints.reshape(-1).tolist()}]}
    (raw / "phone_keypoints.json").write_text(json.dumps(people))
    snap = "  snap: {reader: photos, raw: x, box_factor: 1.2, min_limb_joints: 6}"
    params.write_text(
        PARAMS.replace("sources:\n", f"sources:\n{snap}\n").replace("size_px: 32", "size_px: 256")
    )
    out = tmp_path / "out"
    table = _preprocess(raw, params, out, split="snap", source="photos")
    more = {"annotations": table, "params": params}
    merge.run(out=out / "k.parquet", stats=out / "m.json", openpose=raw, **more)
    pack_crops.run(raw=raw, out=out / "crops.h5", stats=out / "c.json", **more)
    (record,) = load_records(table).itertuples()
    assert (record.image_height, record.image_width) == (320, 240)
    (keypoints,) = load_keypoints(out / "k.parquet")["keypoints"]
    pixels = read_image(raw / "phone.jpg")
    assert all(pixels[int(y), int(x), 0] > 150 for x, y in keypoints[:25, :2])
    assert CropReader(out / "crops.h5").ids == [record.id]
