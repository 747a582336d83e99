"""Keypoints of users: right ones are read, wrong ones are named."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from spinloop.errors import UserError
from spinloop.fitting.user_detections import read_detected_people
from spinloop.fitting.user_keypoints import read_keypoint_file, read_start
from spinloop.geometry.crop import crop_affine, transform_points
from spinloop.joints import COCO17, OPENPOSE25
from spinloop.keypoints.layouts import LAYOUTS


@pytest.fixture
def arrays(crowd):
    return {"keypoints": crowd[1].numpy().clip(-50, 270)}


def _save(folder, arrays):
    np.savez(folder / "k.npz", **arrays)
    return folder / "k.npz"


def test_keypoints_come_in_pixels_of_the_224_crop(tmp_path, arrays):
    larger = arrays["keypoints"] * (2, 2, 1)
    people = read_keypoint_file(_save(tmp_path, {"keypoints": larger, "size": 448}))
    np.testing.assert_allclose(people.keypoints, arrays["keypoints"], rtol=1e-6)
    assert people.ids == [str(n) for n in range(12)]
    assert people.start is None


def test_openpose_alone_leaves_the_annotated_joints_unseen(tmp_path, arrays):
    people = read_keypoint_file(_save(tmp_path, {"keypoints": arrays["keypoints"][:, :25]}))
    assert people.keypoints.shape == (12, 49, 3)
    assert (people.keypoints[:, 25:] == 0).all()


@pytest.mark.parametrize("word", ["coco_17", "body_25b", "coco_18", "halpe_26", "mpi_15"])
def test_joints_of_any_detector_are_taken_by_name(tmp_path, arrays, word):
    """The same people in another set: what the set shares with OpenPose's 25 is where they have it."""
    keypoints, names = arrays["keypoints"][:, :25], LAYOUTS[word].joints
    # Eyes and ears lie beside the nose, heels beside the ankles, as in people.
    for joint in (15, 16, 17, 18):
        keypoints[:, joint, :2] = keypoints[:, 0, :2] + joint / 8
    keypoints[:, (21, 24), :2] = keypoints[:, (14, 11), :2] + 2
    keypoints *= keypoints[..., 2:] > 0
    places = [OPENPOSE25.index(name) if name in OPENPOSE25 else 0 for name in names]
    for given in ("auto", word):
        people = read_keypoint_file(_save(tmp_path, {"keypoints": keypoints[:, places]}), given)
        shared = [OPENPOSE25.index(name) for name in names if name in OPENPOSE25]
        np.testing.assert_allclose(people.keypoints[:, shared], keypoints[:, shared], rtol=1e-5)
        assert people.about.endswith(f"read as {LAYOUTS[word].title}")


def test_44_joints_are_the_first_of_the_49(tmp_path, arrays):
    people = read_keypoint_file(_save(tmp_path, {"keypoints": arrays["keypoints"][:, :44]}))
    np.testing.assert_allclose(people.keypoints[:, :44], arrays["keypoints"][:, :44], rtol=1e-6)
    assert not people.keypoints[:, 44:].any()


def test_a_list_of_detections_is_fitted_with_its_photographs(folders, person):
    """AlphaPose's and MMPose's files: by file name, by stem, and without the photographs."""
    coco = person[[OPENPOSE25.index(name) for name in COCO17]]
    entry = {"keypoints": coco.reshape(-1).tolist(), "score": 1.0}
    path = folders[0].parent / "list.json"
    expected = read_detected_people(*folders).keypoints[0]
    shared = [OPENPOSE25.index(name) for name in COCO17]
    for key in ("a.jpg", "a", "day/b"):
        path.write_text(json.dumps([{"image_id": key, **entry}]))
        people = read_detected_people(path, folders[1])
        assert people.ids == [f"{key.removesuffix('.jpg')}#0"]
        assert people.photographs[0].path.stem == key.rpartition("/")[2].removesuffix(".jpg")
        assert not people.is_outside.any()
        size = people.keypoints[0, shared, :2] - people.keypoints[0, shared[:1], :2]
        wanted = expected[shared, :2] - expected[shared[:1], :2]
        ratio = np.linalg.norm(size) / np.linalg.norm(wanted)
        np.testing.assert_allclose(size, ratio * wanted, atol=1e-3)
    path.write_text(json.dumps([{"image_id": "a.jpg", **entry}, {"image_id": "gone.jpg", **entry}]))
    people = read_detected_people(path, folders[1])
    assert [photograph is None for photograph in people.photographs] == [False, True]
    assert "1 images without their photograph" in people.about
    assert read_detected_people(path, None).ids == ["a#0", "gone#0"]


def test_a_start_is_read_from_the_same_file(tmp_path, arrays, crowd):
    start = dict(zip(("pose", "betas", "cam_t"), (part.numpy() for part in crowd[0]), strict=True))
    path = _save(tmp_path, {**arrays, **start})
    people = read_keypoint_file(path)
    np.testing.assert_array_equal(people.start.pose, start["pose"])
    np.testing.assert_array_equal(people.start.translation, start["cam_t"])


def test_a_pose_alone_is_a_start_whose_camera_is_estimated(tmp_path, arrays, crowd, fitter):
    path = _save(tmp_path, {**arrays, "pose": crowd[0].pose.numpy()})
    people = read_keypoint_file(path)
    assert (people.start.betas == 0).all()
    result = fitter.fit(people.start, torch.from_numpy(people.keypoints))
    assert (result.state.translation[:, 2] > 2).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: {"points": k}, "keypoints: missing"),
        (lambda k: {"keypoints": k[:, :20]}, r"\(12, 20, 3\)"),
        (lambda k: {"keypoints": k[..., :2]}, r"\(12, 49, 2\)"),
        (lambda k: {"keypoints": k[:0]}, "at least one"),
        (lambda k: {"keypoints": k * (1, 1, 0)}, "confidence"),
        (lambda k: {"keypoints": k * (1, 1, 100)}, "divide"),
        (lambda k: {"keypoints": k * (1 / 224, 1 / 224, 1)}, "normalised"),
        (lambda k: {"keypoints": k * (3, 3, 1) + (700, 500, 0)}, "outside their crop"),
        (lambda k: {"keypoints": k, "ids": ["a"] * 12}, "ids: expected 12 different ones, found 1"),
        (lambda k: {"keypoints": k, "ids": "a"}, r"ids: expected a list of 12, found shape \(\)"),
        (lambda k: {"keypoints": k, "ids": [["a", "b"]] * 12}, r"ids: .*, found shape \(12, 2\)"),
        (lambda k: {"keypoints": k + np.array([150, 60, 0])}, "outside their crop"),
        (lambda k: {"keypoints": k, "size": -1}, "size"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(tmp_path, arrays, change, message):
    with pytest.raises(UserError, match=message) as caught:
        read_keypoint_file(_save(tmp_path, change(arrays["keypoints"])))
    assert str(tmp_path / "k.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_person_outside_the_crop_is_marked_and_the_others_are_not(tmp_path, arrays):
    arrays["keypoints"][3, :, :2] += 900
    assert read_keypoint_file(_save(tmp_path, arrays)).is_outside.tolist() == [n == 3 for n in range(12)]


def test_people_whom_the_crop_cuts_off_are_not_marked(tmp_path, arrays):
    """Everybody is moved down by so much that 40 % of the joints lie below the crop."""
    y = arrays["keypoints"][..., 1]
    y += 224 - np.quantile(y, 0.6, axis=1, keepdims=True)
    assert not read_keypoint_file(_save(tmp_path, arrays)).is_outside.any()


def test_one_person_on_one_spot_is_marked_and_the_others_are_not(tmp_path, arrays):
    arrays["keypoints"][3, :, :2] /= 224
    assert read_keypoint_file(_save(tmp_path, arrays)).is_outside.tolist() == [n == 3 for n in range(12)]


def test_a_start_of_the_wrong_shape_is_refused(tmp_path, arrays):
    path = _save(tmp_path, {**arrays, "pose": np.zeros((12, 24, 3)), "betas": np.zeros((12, 10))})
    with pytest.raises(UserError, match=r"pose: expected numbers of shape \(12, 72\)"):
        read_keypoint_file(path)
    other = tmp_path / "other.npz"
    np.savez(other, pose=np.zeros((3, 72)))
    with pytest.raises(UserError, match=r"other\.npz: pose: .*\(12, 72\), found \(3, 72\)"):
        read_start(other, 12)
    np.savez(other, betas=np.zeros((12, 10)))
    with pytest.raises(UserError, match="pose: missing"):
        read_start(other, 12)


def _write_openpose(path, people):
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = [{"pose_keypoints_2d": np.asarray(person).reshape(-1).tolist()} for person in people]
    path.write_text(json.dumps({"version": 1.3, "people": flat}))


@pytest.fixture
def person():
    """One detection of OpenPose in a photograph."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform((300, 100), (400, 350), (25, 2)), np.full((25, 1), 0.8)], axis=1)


@pytest.fixture
def folders(tmp_path, person):
    """Two photographs: one with two people and one who is all zeros, one without people."""
    _write_openpose(tmp_path / "op/a_keypoints.json", [person, person - (250, 50, 0), np.zeros((25, 3))])
    _write_openpose(tmp_path / "op/day/b_keypoints.json", [])
    for name in ("a.jpg", "day/b.png"):
        path = tmp_path / "img" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((400, 500, 3), 90, np.uint8))
    return tmp_path / "op", tmp_path / "img"


def test_everyone_in_a_folder_is_found_in_the_crop_of_their_box(folders, person):
    found = read_detected_people(*folders)
    assert found.ids == ["a#0", "a#1", "a#2"]
    box = found.photographs[0].box
    expected = transform_points(crop_affine(box.center, box.scale), person[:, :2])
    np.testing.assert_allclose(found.keypoints[0, :25, :2], expected, atol=1e-3)
    assert (found.keypoints[:, 25:, 2] == 0).all()
    assert (found.keypoints[2, :, 2] == 0).all()
    # The same person elsewhere in the picture looks the same in a crop of their own.
    first, second = found.keypoints[:2, :25]
    np.testing.assert_allclose(second, first, atol=1e-3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda op, img: (op / "a_keypoints.json").write_text("{}"), "no file of a detector"),
        (lambda op, img: (op / "a_keypoints.json").write_text("no json"), "JSON"),
        (lambda op, img: (img / "a.jpg").unlink(), r"a\.jpg: no such image"),
        (lambda op, img: (img / "a.jpg").write_bytes(b"no image"), r"a\.jpg"),
        (lambda op, img: _write_openpose(op / "a_keypoints.json", []), "without any person"),
        (lambda op, img: _write_openpose(op / "a_keypoints.json", [np.full((25, 3), 0.4)]), "keypoint_scale"),
        (
            lambda op, img: _write_openpose(op / "a_keypoints.json", [np.full((25, 3), 900.0)]),
            r"people\[0\]: most joints, up to 900 px, lie outside a\.jpg \(500 × 400 px\); give",
        ),
        (
            lambda op, img: cv2.imwrite(str(img / "a.jpg"), np.zeros((200, 250, 3))),
            "images that the detector saw",
        ),
        (
            lambda op, img: _write_openpose(op / "a_keypoints.json", [np.full((20, 3), 9.0)]),
            "found 20 joints",
        ),
    ],
)
def test_faults_of_a_folder_are_named_in_one_line(folders, damage, message):
    damage(*folders)
    with pytest.raises(UserError, match=message) as caught:
        read_detected_people(*folders)
    assert "\n" not in str(caught.value)


def test_a_photograph_on_its_side_and_joints_at_its_border_are_taken(folders, person):
    """OpenPose obeys the tag that rotates a photograph, whose header has the stored size."""
    at_the_border = np.where(person == person[:, :1], 500.0, person)
    _write_openpose(folders[0] / "a_keypoints.json", [at_the_border])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((500, 400, 3), np.uint8)).save(folders[1] / "a.jpg", exif=exif)
    assert len(read_detected_people(*folders).ids) == 1


def test_folders_without_files_or_that_are_not_there_are_refused(folders, tmp_path):
    for openpose, images, message in (
        (folders[1], None, "write_json"),
        (tmp_path / "none", None, "--openpose .*none: no such folder"),
        (folders[0], tmp_path / "none", "--images .*none: no such folder"),
        (folders[1] / "a.jpg", None, "expected JSON or npz, found .jpg"),
    ):
        with pytest.raises(UserError, match=message):
            read_detected_people(openpose, images)
