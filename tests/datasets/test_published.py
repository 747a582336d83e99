"""`--compat official` against plain loops over the files, written from the notes on the published code."""

import json
import pickle

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from spinloop.datasets import reader
from spinloop.tables.records import ReadCounts

RULES = {"raw": "", "box_factor": 1.2}
JOINTS = {**RULES, "openpose": None, "min_limb_joints": 1}


def _read(name: str, folder, **source):
    entry = reader(name)
    return list(entry.read(folder, "s", entry.source(reader=name, **source), True, ReadCounts()))


def _assert_same(records, rows) -> None:
    """Image, center, scale and `part` of every row, in order."""
    assert [record.image for record in records] == [row["imgname"] for row in rows]
    for record, row in zip(records, rows, strict=True):
        np.testing.assert_allclose(record.center, row["center"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(record.scale, row["scale"], rtol=1e-12)
        if "part" in row:
            np.testing.assert_allclose(record.keypoints, row["part"])


def _boxed(points: list[tuple[float, float]]) -> dict:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return {
        "center": [(left + right) / 2, (top + bottom) / 2],
        "scale": 1.2 * max(right - left, bottom - top) / 200,
    }


def test_coco(coco_tree):
    content = json.loads((coco_tree / "annotations" / "person_keypoints_train2014.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    rows = []
    for annotation in content["annotations"]:
        keypoints = annotation["keypoints"]
        labels = [keypoints[3 * joint + 2] for joint in range(17)]
        x, y, width, height = annotation["bbox"]
        # A box without extent would make a scale of 0; ours leaves such a person out.
        if any(labels[joint] == 0 for joint in range(5, 17)) or max(width, height) == 0:
            continue
        part = np.zeros((24, 3))
        places = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]
        for joint, place in enumerate(places):
            if labels[joint] > 0:
                part[place] = [keypoints[3 * joint], keypoints[3 * joint + 1], 1]
        rows.append(
            {
                "imgname": f"train2014/{names[annotation['image_id']]}",
                "center": [x + width / 2, y + height / 2],
                "scale": 1.2 * max(width, height) / 200,
                "part": part,
            }
        )
    assert len(rows) == 2
    _assert_same(_read("coco", coco_tree, subset="train2014", **JOINTS), rows)


def test_3dpw(pw3d_tree):
    rows = []
    for path in sorted((pw3d_tree / "sequenceFiles" / "test").glob("*.pkl")):
        data = pickle.loads(path.read_bytes())
        for person in range(len(data["poses"])):
            for frame in range(len(data["cam_poses"])):
                x, y, score = data["poses2d"][person][frame]
                seen = [(x[joint], y[joint]) for joint in range(18) if score[joint] > 0]
                if not data["campose_valid"][person][frame] or not seen:
                    continue
                pose = data["poses"][person][frame].copy()
                turned = data["cam_poses"][frame][:3, :3] @ cv2.Rodrigues(pose[:3])[0]
                pose[:3] = cv2.Rodrigues(turned)[0][:, 0]
                name = f"imageFiles/{data['sequence']}/image_{frame:05d}.jpg"
                body = {"pose": pose, "shape": data["betas"][person][:10], "gender": data["genders"][person]}
                rows.append({"imgname": name, **_boxed(seen), **body})
    records = _read("pw3d", pw3d_tree, subset="test", **RULES)
    _assert_same(records, rows)
    for record, row in zip(records, rows, strict=True):
        np.testing.assert_allclose(record.pose, row["pose"], atol=1e-6)
        np.testing.assert_array_equal(record.betas, row["shape"])
        assert record.gender[0] == row["gender"]


@pytest.fixture
def lsp_tree(tmp_path, write_jpeg):
    """Joints of which some lie beside the image or are marked as not visible."""
    rng = np.random.default_rng(0)
    joints = rng.uniform(-10, 70, (3, 14, 1002))
    joints[2] = rng.integers(0, 2, (14, 1002))
    savemat(tmp_path / "joints.mat", {"joints": joints})
    write_jpeg(tmp_path / "images" / "im0001.jpg", 64, 96)
    for number in range(2, 1003):
        (tmp_path / "images" / f"im{number:04d}.jpg").hardlink_to(tmp_path / "images" / "im0001.jpg")
    return tmp_path


@pytest.mark.parametrize(("subset", "first", "last"), [("train", 0, 1000), ("test", 1000, 1002)])
def test_lsp(lsp_tree, subset, first, last):
    joints = loadmat(lsp_tree / "joints.mat")["joints"]
    rows = []
    for index in range(first, last):
        part = np.zeros((24, 3))
        for joint in range(14):
            part[joint] = [joints[0, joint, index], joints[1, joint, index], 1]
        box = _boxed([(part[joint, 0], part[joint, 1]) for joint in range(14)])
        rows.append({"imgname": f"images/im{index + 1:04d}.jpg", "part": part, **box})
    _assert_same(_read("lsp", lsp_tree, subset=subset, masks=None, **JOINTS), rows)


def test_lspet(tmp_path, write_jpeg):
    joints = np.random.default_rng(1).uniform(-10, 70, (14, 3, 3))
    joints[:, 2] = [[1, 0, 1]] * 14
    joints[4, :, 2] = [-350, -350, 0]
    savemat(tmp_path / "joints.mat", {"joints": joints})
    for name in ("im00009", "im00001", "im00005"):
        write_jpeg(tmp_path / f"{name}.png", 64, 96)
    rows = []
    for index, name in enumerate(sorted(path.name for path in tmp_path.glob("*.png"))):
        part = np.zeros((24, 3))
        for joint in range(14):
            part[joint] = [joints[joint, 0, index], joints[joint, 1, index], 1]
        box = _boxed([(part[joint, 0], part[joint, 1]) for joint in range(14)])
        rows.append({"imgname": name, "part": part, **box})
    _assert_same(_read("lspet", tmp_path, **JOINTS), rows)


def test_mpii(tmp_path, write_jpeg):
    rng = np.random.default_rng(2)
    part = rng.uniform(1, 70, (5, 16, 2))
    part[1, 3] = 0
    part[3, 9, 1] = -1
    center, scale = rng.uniform(10, 60, (5, 2)), rng.uniform(0.2, 1, 5)
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["imgname"] = np.array([b"c.jpg", b"a.jpg", b"b.jpg", b"a.jpg", b"a.jpg"])
        file["part"], file["center"], file["scale"] = part, center, scale
    for name in "abc":
        write_jpeg(tmp_path / "images" / f"{name}.jpg", 64, 96)
    rows = []
    with h5py.File(tmp_path / "train.h5") as file:
        for index in range(5):
            places = file["part"][index]
            if any(value <= 0 for value in places.reshape(-1)):
                continue
            joints = np.zeros((24, 3))
            for joint, place in enumerate([0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11]):
                joints[place] = [places[joint, 0], places[joint, 1], 1]
            name = "images/" + file["imgname"][index].decode()
            row = {"center": file["center"][index], "scale": file["scale"][index], "part": joints}
            rows.append({"imgname": name, **row})
    assert len(rows) == 3
    _assert_same(_read("mpii", tmp_path, **JOINTS), rows)
