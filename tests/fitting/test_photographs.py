"""OpenPose's folders: everybody in them, in the right crop, drawn in the right place."""

import json

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.body.model import make_body_model
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.fitting.photographs import draw_overlays, read_photographs
from spinloop.geometry.crop import CENTER_PX, crop_affine, transform_points


def _write(path, people):
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = [{"pose_keypoints_2d": np.asarray(person).reshape(-1).tolist()} for person in people]
    path.write_text(json.dumps({"version": 1.3, "people": flat}))


@pytest.fixture
def person():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform((300, 100), (400, 350), (25, 2)), np.full((25, 1), 0.8)], axis=1)


@pytest.fixture
def folders(tmp_path, person):
    """Two photographs: one with two people and one who is all zeros, one with nobody."""
    _write(tmp_path / "op/a_keypoints.json", [person, person - (250, 50, 0), np.zeros((25, 3))])
    _write(tmp_path / "op/day/b_keypoints.json", [])
    for name in ("a.jpg", "day/b.png"):
        path = tmp_path / "img" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((400, 500, 3), 90, np.uint8))
    return tmp_path / "op", tmp_path / "img"


def test_everybody_is_found_and_lies_in_the_crop_of_the_box(folders, person):
    found = read_photographs(*folders)
    assert found.request.ids == ["a#0", "a#1", "a#2"]
    box = found.boxes[0]
    expected = transform_points(crop_affine(box.center, box.scale), person[:, :2])
    np.testing.assert_allclose(found.request.keypoints[0, :25, :2], expected, atol=1e-3)
    assert (found.request.keypoints[:, 25:, 2] == 0).all()
    assert (found.request.keypoints[2, :, 2] == 0).all()
    # The same person elsewhere in the picture looks the same in a crop of their own.
    first, second = found.request.keypoints[:2, :25]
    np.testing.assert_allclose(second, first, atol=1e-3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda op, img: (op / "a_keypoints.json").write_text("{}"), "people"),
        (lambda op, img: (op / "a_keypoints.json").write_text("no json"), "JSON"),
        (lambda op, img: (img / "a.jpg").unlink(), r"a\.jpg: no such image"),
        (lambda op, img: (img / "a.jpg").write_bytes(b"no image"), r"a\.jpg"),
        (lambda op, img: _write(op / "a_keypoints.json", []), "nobody"),
        (lambda op, img: _write(op / "a_keypoints.json", [np.full((25, 3), 0.4)]), "keypoint_scale"),
        (
            lambda op, img: _write(op / "a_keypoints.json", [np.full((25, 3), 900.0)]),
            r"people\[0\]: most joints, up to 900 px, lie outside a\.jpg \(500 × 400 px\); give",
        ),
        (
            lambda op, img: cv2.imwrite(str(img / "a.jpg"), np.zeros((200, 250, 3))),
            "images that OpenPose saw",
        ),
        (lambda op, img: _write(op / "a_keypoints.json", [np.zeros((18, 3))]), "BODY_25"),
    ],
)
def test_faults_are_named_in_one_line(folders, damage, message):
    damage(*folders)
    with pytest.raises(UserError, match=message) as caught:
        read_photographs(*folders)
    assert "\n" not in str(caught.value)


def test_a_photograph_on_its_side_and_joints_at_its_border_are_taken(folders, person):
    """OpenPose obeys the tag that turns a photograph, whose header has the stored size."""
    at_the_border = np.where(person == person[:, :1], 500.0, person)
    _write(folders[0] / "a_keypoints.json", [at_the_border])
    cv2.imwrite(str(folders[1] / "a.jpg"), np.zeros((500, 400, 3)))
    assert len(read_photographs(*folders).request.ids) == 1


def test_folders_without_files_or_that_are_not_there_are_refused(folders, tmp_path):
    for openpose, images, message in (
        (folders[1], None, "write_json"),
        (tmp_path / "none", None, "--openpose .*none: no such folder"),
        (folders[0], tmp_path / "none", "--images .*none: no such folder"),
        (folders[1] / "a.jpg", None, "--openpose .*: no such folder"),
    ):
        with pytest.raises(UserError, match=message):
            read_photographs(openpose, images)


@pytest.fixture(scope="module")
def ball(golden):
    """A body whose 6890 vertices are a ball of 0.3 m around the origin, whatever the pose."""
    rng = np.random.default_rng(0)
    vertices = rng.standard_normal((6890, 3))
    vertices *= 0.3 / np.linalg.norm(vertices, axis=1, keepdims=True)
    arrays = dict.fromkeys(BodyFile.__dataclass_fields__)
    arrays |= {name: array for name, array in vars(golden.body).items()}
    weights = np.zeros((6890, 24), np.float32)
    weights[:, 0] = 1
    return BodyFile(
        **{
            **arrays,
            "v_template": vertices.astype(np.float32),
            "shapedirs": np.zeros((6890, 3, 10), np.float32),
            "posedirs": np.zeros((6890, 3, 207), np.float32),
            "weights": weights,
            "kintree_table": np.array([[-1] + [0] * 23, range(24)]),
            "f": rng.integers(0, 6890, (500, 3)).astype(np.int32),
            "part_labels": np.ones(500, np.uint8),
            "gender": "neutral",
        }
    )


def test_a_body_is_drawn_where_the_crops_camera_sees_it(folders, ball, tmp_path):
    found = read_photographs(*folders)
    depth = 50.0
    # 20 px right of and 10 px above the crop's middle.
    place = torch.tensor([[20 * depth / 5000, -10 * depth / 5000, depth]]).expand(3, 3)
    state = BodyState(torch.zeros(3, 72), torch.zeros(3, 10), place)
    magenta = (1.0, 0.0, 1.0)
    n_drawn = draw_overlays(tmp_path / "out", found, make_body_model(ball), state, [magenta, None, None])
    assert n_drawn == 1
    before, after = (
        cv2.imread(str(path)).astype(int) for path in (folders[1] / "a.jpg", tmp_path / "out/a.jpg")
    )
    painted = (after[..., 2] - after[..., 1] > 60) & (after[..., 0] - after[..., 1] > 60)
    rows, columns = np.nonzero(painted)
    box = found.boxes[0]
    expected = transform_points(
        np.linalg.inv(np.vstack([crop_affine(box.center, box.scale), [0, 0, 1]]))[:2],
        np.array([[CENTER_PX + 20, CENTER_PX - 10]]),
    )[0]
    assert abs(columns.mean() - expected[0]) < 4
    assert abs(rows.mean() - expected[1]) < 4
    # Of the other person only the joints are drawn, which are small; far from everybody nothing changed.
    assert np.abs(after[380:, :100] - before[380:, :100]).max() < 12
