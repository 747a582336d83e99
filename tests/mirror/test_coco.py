"""The COCO mirror, read back with plain json and cv2 from the format's description."""

import hashlib
import json
import re

import cv2
import numpy as np
import pytest
import torch

from spinloop.body import model as reference
from spinloop.body.model import BodyModel
from spinloop.datasets.coco import read_coco
from spinloop.errors import UserError
from spinloop.joints import COCO17, MODEL49
from spinloop.mirror.job import load_truth
from spinloop.params.datasets import CocoSource
from spinloop.stages import mirror_coco
from spinloop.tables.records import ReadCounts

# COCO's published spreads of human annotations, as in its evaluation code.
OKS_SIGMA = np.repeat(
    [0.026, 0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089], [1, 2, 2, 2, 2, 2, 2, 2, 2]
)
COCO_IN_49 = [MODEL49.index(name, 25) for name in COCO17]


@pytest.fixture(scope="module")
def crowded(run_coco):
    """COCO 2017's names, a crowd in most pictures, and small people without joints."""
    return run_coco(n_images=6, subset="val2017", crowd=0.7, least_keypoints_px=2500, second_person=0.5)


def read_annotations(mirror):
    return json.loads((mirror.out / "annotations" / "person_keypoints_train2014.json").read_text())


def true_pixels(truth, body):
    """Projections of the 49 joints of each row with the true camera."""
    pose, betas = (torch.tensor(np.stack(truth[name]), dtype=torch.float32) for name in ("pose", "betas"))
    joints = BodyModel(body)(pose, betas).joints49.double().numpy()
    joints = joints + np.stack(truth["translation"])[:, None]
    camera = np.stack(truth["camera"])
    return camera[:, None, :1] * joints[..., :2] / joints[..., 2:] + camera[:, None, 1:]


def pairs(mirror, body):
    """Annotated keypoints (N, 17, 3), true pixels (N, 17, 2) and areas of the same people."""
    truth = load_truth(mirror.truth)
    pixels = dict(zip(truth["id"], true_pixels(truth, body)[:, COCO_IN_49], strict=True))
    content = read_annotations(mirror)
    names = {image["id"]: image["file_name"] for image in content["images"]}
    keys = [f"coco_train/train2014/{names[a['image_id']]}#{a['id']}" for a in content["annotations"]]
    assert sorted(keys) == sorted(pixels)
    keypoints = np.array([a["keypoints"] for a in content["annotations"]], dtype=np.float64).reshape(
        -1, 17, 3
    )
    areas = np.array([a["area"] for a in content["annotations"]])
    return keypoints, np.stack([pixels[key] for key in keys]), areas


def test_annotated_joints_scatter_about_the_projected_truth_as_stated(coco, mannequin):
    keypoints, pixels, areas = pairs(coco, mannequin)
    spread = coco.section.annotation_noise * OKS_SIGMA * np.sqrt(areas)[:, None]
    errors = ((keypoints[..., :2] - pixels) / spread[..., None])[keypoints[..., 2] > 0]
    assert len(errors) > 350
    # A joint beside the picture is left out, which reduces the spread a little.
    assert np.sqrt((errors**2).mean()) == pytest.approx(1.0, abs=0.08)
    assert np.abs(errors.mean(0)).max() < 0.15
    assert np.abs(errors).max() < 5.5


def test_without_annotation_noise_joints_are_the_projected_truth(run_coco, mannequin):
    keypoints, pixels, _ = pairs(run_coco(n_images=6, annotation_noise=0.0), mannequin)
    given = keypoints[..., 2] > 0
    np.testing.assert_allclose(keypoints[given][:, :2], pixels[given], atol=0.01)


def test_annotation_file_has_the_fields_of_the_original(coco):
    content = read_annotations(coco)
    assert set(content) == {"info", "licenses", "images", "annotations", "categories"}
    (category,) = content["categories"]
    assert (category["id"], category["name"]) == (1, "person")
    assert category["keypoints"] == list(COCO17)
    assert sorted({joint for pair in category["skeleton"] for joint in pair}) == list(range(1, 18))
    fields = {
        "id",
        "image_id",
        "category_id",
        "iscrowd",
        "bbox",
        "area",
        "num_keypoints",
        "keypoints",
        "segmentation",
    }
    for annotation in content["annotations"]:
        assert set(annotation) == fields
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        assert annotation["num_keypoints"] == (keypoints[:, 2] > 0).sum()
        assert set(keypoints[:, 2]) <= {0, 1, 2}
        assert (keypoints[keypoints[:, 2] == 0] == 0).all()
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert len(set(ids)) == len(ids)
    assert max(np.unique([a["image_id"] for a in content["annotations"]], return_counts=True)[1]) == 2


def test_joints_lie_on_the_picture_and_boxes_hold_the_outlines(coco):
    content = read_annotations(coco)
    images = {image["id"]: image for image in content["images"]}
    for annotation in content["annotations"]:
        image = images[annotation["image_id"]]
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        on = keypoints[keypoints[:, 2] > 0]
        assert (on[:, :2] >= 0).all()
        assert (on[:, :2] <= [image["width"], image["height"]]).all()
        x, y, width, height = annotation["bbox"]
        for polygon in annotation["segmentation"]:
            points = np.array(polygon).reshape(-1, 2)
            assert (points >= [x, y]).all()
            assert (points <= [x + width, y + height]).all()
        assert 0 < annotation["area"] <= width * height


def test_every_listed_picture_is_there_in_its_size_and_no_other(coco):
    images = read_annotations(coco)["images"]
    assert len(images) == coco.section.n_images
    for image in images:
        assert re.fullmatch(r"COCO_train2014_\d{12}\.jpg", image["file_name"])
        assert int(image["file_name"][-16:-4]) == image["id"]
        pixels = cv2.imread(str(coco.out / "train2014" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        assert pixels.std() > 5, "a picture, not a blank"
    assert len(list((coco.out / "train2014").iterdir())) == len(images)


def test_openpose_writes_one_file_for_each_picture(coco):
    folder = coco.openpose / "train2014"
    expected = {f"{image['file_name'][:-4]}_keypoints.json" for image in read_annotations(coco)["images"]}
    assert {path.name for path in folder.iterdir()} == expected
    n_people = []
    for path in sorted(folder.iterdir()):
        content = json.loads(path.read_text())
        assert content["version"] == 1.3
        n_people.append(len(content["people"]))
        for person in content["people"]:
            joints = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
            assert ((joints[:, 2] >= 0) & (joints[:, 2] <= 1)).all()
            assert (joints[joints[:, 2] == 0] == 0).all()
            assert person["face_keypoints_2d"] == []
    assert max(n_people) >= 2
    assert np.mean(n_people) > 0.9


def test_a_crowd_is_one_annotation_with_a_mask_in_runs(crowded):
    content = json.loads((crowded.out / "annotations" / "person_keypoints_val2017.json").read_text())
    crowds = [one for one in content["annotations"] if one["iscrowd"]]
    assert 0 < len(crowds) <= crowded.section.n_images
    for crowd in crowds:
        assert (crowd["num_keypoints"], crowd["keypoints"]) == (0, [0] * 51)
        height, width = crowd["segmentation"]["size"]
        flat, value = [], False
        for count in crowd["segmentation"]["counts"]:
            flat += [value] * count
            value = not value
        mask = np.array(flat).reshape(width, height).T
        rows, columns = np.nonzero(mask)
        x, y, w, h = crowd["bbox"]
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)
        assert mask.sum() == crowd["area"]


def test_people_who_are_hardly_visible_have_a_box_but_no_joints(crowded):
    content = json.loads((crowded.out / "annotations" / "person_keypoints_val2017.json").read_text())
    people = [one for one in content["annotations"] if not one["iscrowd"]]
    small = [one for one in people if one["area"] < crowded.section.least_keypoints_px]
    assert 0 < len(small) < len(people)
    for person in small:
        assert (person["num_keypoints"], person["keypoints"]) == (0, [0] * 51)
    assert all(person["bbox"][2] > 0 for person in small)


def test_the_reader_leaves_crowds_and_people_without_joints_out(crowded):
    source = CocoSource(
        reader="coco", raw="", openpose="", subset="val2017", box_factor=1.2, min_limb_joints=1
    )
    counts = ReadCounts()
    records = list(read_coco(crowded.out, "coco_val", source, False, counts))
    truth = set(load_truth(crowded.truth)["id"])
    left_out = counts.stats()["left_out"]
    assert left_out["crowd"] > 0
    assert left_out["no_visible_joint"] > 0
    assert {record.id for record in records} <= truth
    assert all(record.image.startswith("val2017/000000") for record in records)


def test_the_reader_knows_the_same_people_by_the_same_ids(coco):
    source = CocoSource(
        reader="coco", raw="", openpose="", subset="train2014", box_factor=1.2, min_limb_joints=1
    )
    records = list(read_coco(coco.out, "coco_train", source, False, ReadCounts()))
    truth = set(load_truth(coco.truth)["id"])
    read = {record.id for record in records}
    assert read <= truth
    assert len(read) > 0.9 * len(truth)


def digests(mirror):
    paths = sorted(p for root in (mirror.out, mirror.openpose) for p in root.rglob("*") if p.is_file())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return found | {"truth": hashlib.sha256(mirror.truth.read_bytes()).hexdigest()}


def test_bytes_do_not_depend_on_the_number_of_workers(coco, run_coco):
    again = run_coco(workers=2, n_images=40, second_person=0.3, hidden_not_annotated=0.1, crowd=0.0)
    assert digests(again) == digests(coco)


def test_more_pictures_leave_the_first_ones_as_they_were(run_coco):
    few, more = digests(run_coco(n_images=2)), digests(run_coco(n_images=4))
    pictures = [name for name in few if name.endswith((".jpg", "_keypoints.json"))]
    assert len(pictures) == 4
    assert all(few[name] == more[name] for name in pictures)


def test_another_seed_gives_other_pictures(run_coco):
    one, other = (digests(run_coco(n_images=2, seed=seed)) for seed in (0, 1))
    assert all(one[name] != other[name] for name in one if name.endswith(".jpg"))


def test_the_named_engine_poses_the_people(run_coco, monkeypatch):
    posed = []

    class Recorded(reference.SmplxBodyModel):
        def _pose(self, rotations, betas):
            posed.append(len(rotations))
            return super()._pose(rotations, betas)

    monkeypatch.setattr(reference, "SmplxBodyModel", Recorded)
    ours, theirs = (load_truth(run_coco(n_images=2, engine=name).truth) for name in ("spinloop", "smplx"))
    assert len(posed) >= 2
    for name in ("pose", "translation"):
        np.testing.assert_allclose(np.stack(theirs[name]), np.stack(ours[name]), atol=1e-5)


def test_a_missing_body_is_named_and_nothing_is_left_behind(repository, mixture_file, tmp_path):
    places = {
        "out": tmp_path / "coco",
        "openpose": tmp_path / "openpose",
        "truth": tmp_path / "truth.parquet",
    }
    with pytest.raises(UserError, match=r"neutral\.npz: no such file"):
        mirror_coco.run(
            body=tmp_path / "neutral.npz", mixture=mixture_file, params=repository / "params.yaml", **places
        )
    assert list(tmp_path.iterdir()) == []
