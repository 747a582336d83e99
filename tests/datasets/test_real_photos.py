"""Real photographs, real annotations and real detections through the commands that the pipeline runs."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.files import load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.joints import MODEL49
from spinloop.keypoints.merge import load_keypoints
from spinloop.stages import fit_initial, merge, pack_crops, prepare_body, preprocess
from spinloop.tables.fits import FitStore
from spinloop.tables.records import load_records

SOURCES = """
sources:
  coco_real: {reader: coco, raw: '', openpose: null, subset: val2017, box_factor: 1.2, min_limb_joints: 6}
  photos_real: {reader: photos, raw: '', box_factor: 1.2, min_limb_joints: 6}
"""
# COCO's joints in the triangulated skeleton's names.
TRIANGULATED = {
    "nose": "Nose", "left_shoulder": "LShoulder", "right_shoulder": "RShoulder", "left_elbow": "LElbow",
    "right_elbow": "RElbow", "left_wrist": "LWrist", "right_wrist": "RWrist", "left_hip": "LHip",
    "right_hip": "RHip", "left_knee": "LKnee", "right_knee": "RKnee", "left_ankle": "LAnkle",
    "right_ankle": "RAnkle",
}  # fmt: skip


@pytest.fixture(scope="module")
def params(tmp_path_factory, repository) -> Path:
    """The project's parameters with the sources of this test."""
    text = (repository / "params.yaml").read_text()
    before, _, after = text.partition("\nsources:\n")
    _, _, rest = after.partition("\n\n")
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(f"{before}\n{SOURCES}\n{rest}")
    return path


@pytest.fixture(scope="module")
def coco_785(tmp_path_factory, shared_data) -> Path:
    """COCO val2017 as if only image 785 had been released: the others' licences forbid copying them."""
    raw = tmp_path_factory.mktemp("real") / "coco"
    (raw / "val2017").mkdir(parents=True)
    shutil.copy(shared_data / "coco_keypoints" / "000000000785.jpg", raw / "val2017")
    content = json.loads((shared_data / "coco_keypoints" / "test_coco.json").read_text())
    content["images"] = [image for image in content["images"] if image["id"] == 785]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] == 785]
    (raw / "annotations").mkdir()
    (raw / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    return raw


@pytest.fixture(scope="module")
def photos(tmp_path_factory, shared_data) -> Path:
    """A photograph of one person and sixteen of a room with two or more, OpenPose's files beside them."""
    raw = tmp_path_factory.mktemp("real") / "photos"
    raw.mkdir()
    name = "pexels-anete-lusina-4793258_h1200"
    for suffix in (".jpg", "_keypoints.json"):
        shutil.copy(shared_data / "openpose_misc" / f"{name}{suffix}", raw)
    for image in sorted((shared_data / "openpose_pose2sim").glob("cam0*/*.jpg")):
        (raw / image.parent.name).mkdir(exist_ok=True)
        shutil.copy(image, raw / image.parent.name)
        detections = image.with_name(f"{image.stem}_body25_keypoints.json")
        shutil.copy(detections, raw / image.parent.name / f"{image.stem}_keypoints.json")
    return raw


@pytest.fixture(scope="module")
def balancing(tmp_path_factory, photos, shared_data) -> SimpleNamespace:
    """The room again, annotated as COCO is: the triangulated joints of the one who balances, projected."""
    truth = np.load(shared_data / "openpose_pose2sim" / "balancing_eval.npz")
    raw = tmp_path_factory.mktemp("real") / "balancing"
    content = {"images": [], "annotations": [], "categories": []}
    for number, name in enumerate(truth["imgname"].tolist()):
        image = raw / "val2017" / name
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / name, image)
        height, width = cv2.imread(str(image)).shape[:2]
        joints = _projected(truth, number)
        seen = joints[joints[:, 2] > 0, :2]
        box = [*seen.min(0), *(seen.max(0) - seen.min(0))]
        content["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        content["annotations"].append(
            {"id": number, "image_id": number, "bbox": box, "keypoints": joints.reshape(-1).tolist()}
        )
    (raw / "annotations").mkdir()
    (raw / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))
    return SimpleNamespace(raw=raw, truth=truth)


def _projected(truth, number: int) -> np.ndarray:
    """COCO's 17 joints (x, y, label) of one frame; eyes and ears are not triangulated."""
    names = truth["S_names"].tolist()
    coco = ["nose", *["face"] * 4, *[name for name in TRIANGULATED if name != "nose"]]
    still = np.zeros(3)
    pixels, _ = cv2.projectPoints(truth["S"][number], still, still, truth["K"][number], truth["dist"][number])
    joints = np.zeros((17, 3))
    for place, name in enumerate(coco):
        if name in TRIANGULATED:
            joints[place] = [*pixels[names.index(TRIANGULATED[name]), 0], 2]
    return joints


def _prepare(raw: Path, split: str, source: str, openpose: Path | None, folder: Path, params: Path) -> Path:
    """Annotations, merged keypoints and crops of a split, by the stages."""
    table, keypoints = folder / "annotations.parquet", folder / "keypoints.parquet"
    stats = {name: folder / f"{name}.json" for name in ("preprocess", "merge", "pack_crops")}
    preprocess.run(split=split, source=source, raw=raw, out=table, stats=stats["preprocess"], params=params)
    merge.run(annotations=table, out=keypoints, stats=stats["merge"], openpose=openpose, params=params)
    pack_crops.run(
        annotations=table, raw=raw, out=folder / "crops.h5", stats=stats["pack_crops"], params=params
    )
    return keypoints


def test_every_photograph_goes_through_and_every_detection_finds_its_person(photos, params, tmp_path):
    keypoints = load_keypoints(_prepare(photos, "photos_real", "photos", photos, tmp_path, params))
    records = load_records(tmp_path / "annotations.parquet")
    assert len(records) == 33
    assert set(keypoints["provenance"]) == {"matched"}
    for record, row in zip(records.itertuples(), keypoints.itertuples(), strict=True):
        path = photos / Path(record.image).with_suffix("").with_name(
            f"{Path(record.image).stem}_keypoints.json"
        )
        people = json.loads(path.read_text())["people"]
        expected = np.array(people[record.person]["pose_keypoints_2d"]).reshape(25, 3)
        np.testing.assert_allclose(row.keypoints[:25], expected, atol=1e-3)
        assert not row.keypoints[25:].any()
    assert json.loads((tmp_path / "pack_crops.json").read_text())["kept"] == 33


def test_the_detected_person_is_the_annotated_one_whatever_the_order(balancing, photos, params, tmp_path):
    shuffled = tmp_path / "openpose"
    rng = np.random.default_rng(0)
    subject = {}
    for path in sorted(photos.glob("cam0*/*_keypoints.json")):
        content = json.loads(path.read_text())
        order = [int(index) for index in rng.permutation(len(content["people"]))]
        content["people"] = [content["people"][index] for index in order]
        target = shuffled / "val2017" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
        subject[target.relative_to(shuffled).as_posix()] = content["people"][order.index(0)]
    keypoints = load_keypoints(
        _prepare(balancing.raw, "coco_real", "coco", shuffled, tmp_path / "out", params)
    )
    assert len(keypoints) == 16
    assert set(keypoints["provenance"]) == {"matched"}
    for name, found in zip(keypoints["id"], keypoints["keypoints"], strict=True):
        image = name.removeprefix("coco_real/").partition("#")[0]
        expected = subject[image.replace(".jpg", "_keypoints.json")]["pose_keypoints_2d"]
        np.testing.assert_allclose(found[:25], np.array(expected).reshape(25, 3), atol=1e-3)


@pytest.fixture(scope="module")
def free_body(repository, tmp_path_factory) -> Path:
    """The neutral free body: the pipeline's where it has run, else a smaller population's."""
    made = repository / "data" / "body" / "neutral.npz"
    if made.is_file():
        return made
    folder = tmp_path_factory.mktemp("body")
    toy = repository / "tests" / "pipeline" / "params_toy.yaml"
    prepare_body.run(out=folder, report=folder / "report.json", params=toy)
    return folder / "neutral.npz"


@pytest.fixture(scope="module")
def fitted(free_body, repository, coco_785, photos, params, tmp_path_factory) -> dict[str, SimpleNamespace]:
    """Offline fits of both, with the posed joints of each."""
    results = {}
    mixture = repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz"
    joints_of = JointsOnly(load_body(free_body))
    for split, source, raw, openpose in (
        ("coco_real", "coco", coco_785, None),
        ("photos_real", "photos", photos, photos),
    ):
        folder = tmp_path_factory.mktemp(split)
        keypoints = _prepare(raw, split, source, openpose, folder, params)
        out = folder / "fits.h5"
        fit_initial.run(
            body=free_body, prior=mixture, keypoints=keypoints, out=out, state=folder / "state", params=params
        )
        store = FitStore.open(out)
        results[split] = SimpleNamespace(
            rows=load_keypoints(keypoints), store=store, joints=_posed(joints_of, store)
        )
    return results


def _posed(joints_of: JointsOnly, store: FitStore) -> np.ndarray:
    """The 49 joints in the 224 px crop: x, y (px), depth (m)."""
    pose, betas, translation = (
        torch.from_numpy(store.array(key)) for key in ("pose", "betas", "translation")
    )
    points = (joints_of.joints(pose, betas) + translation[:, None]).numpy()
    return np.concatenate([5000 * points[..., :2] / points[..., 2:] + 112, points[..., 2:]], axis=-1)


def _people(result: SimpleNamespace):
    """Id, keypoints in the 224 px crop, posed joints; joined by id."""
    joints_by_id = dict(zip(result.store.ids, result.joints, strict=True))
    for row in result.rows.itertuples():
        keypoints = row.keypoints.astype(np.float64)
        keypoints[:, :2] = (keypoints[:, :2] - row.center) * 224 / (200 * row.scale) + 112
        yield row.id, keypoints, joints_by_id[row.id]


@pytest.mark.slow
@pytest.mark.parametrize(("split", "count"), [("coco_real", 1), ("photos_real", 33)])
def test_every_fit_lies_on_its_person(fitted, split, count):
    errors = {}
    for name, keypoints, joints in _people(fitted[split]):
        seen = keypoints[:, 2] > 0
        errors[name] = np.median(np.linalg.norm(joints[seen, :2] - keypoints[seen, :2], axis=1))
    assert len(errors) == count
    assert max(errors.values()) < 10, max(errors, key=errors.get)  # px of a 224 px crop


@pytest.mark.slow
@pytest.mark.parametrize("split", ["coco_real", "photos_real"])
def test_every_fitted_body_is_upright_and_the_right_way_round(fitted, split):
    left_shoulder, right_shoulder = (
        [MODEL49.index(f"{op}{side}_shoulder") for op in ("op_", "")] for side in ("left", "right")
    )
    for name, keypoints, joints in _people(fitted[split]):
        assert joints[MODEL49.index("head_top_lsp"), 1] < joints[MODEL49.index("pelvis_mpii"), 1] - 20, name
        for left, right in zip(left_shoulder, right_shoulder, strict=True):
            seen = keypoints[[left, right], 2].min() > 0
            breadth = keypoints[left, 0] - keypoints[right, 0]
            if seen and abs(breadth) > 10:
                assert np.sign(joints[left, 0] - joints[right, 0]) == np.sign(breadth), name


@pytest.mark.slow
def test_the_skier_looks_at_the_camera_and_the_lifter_away(fitted):
    nose, head = MODEL49.index("nose"), MODEL49.index("head_h36m")
    depth = {
        name: joints[nose, 2] - joints[head, 2]
        for split in fitted
        for name, _, joints in _people(fitted[split])
    }
    assert depth["coco_real/val2017/000000000785.jpg#442619"] < -0.02
    assert depth["photos_real/pexels-anete-lusina-4793258_h1200.jpg#0"] > 0.02
