"""What `spinloop fit` writes: arrays under their names, bodies rendered in the right place."""

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.body.model import make_body_model
from spinloop.body.pose import BodyState
from spinloop.fitting.results import save_fits, save_overlays
from spinloop.fitting.user_keypoints import PeopleToFit, Photograph
from spinloop.geometry.crop import CENTER_PX, crop_affine, crop_keypoints, transform_points
from spinloop.tables.fits import STATUSES
from spinloop.tables.records import Box


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


def test_a_body_is_rendered_where_the_crops_camera_sees_it(ball, tmp_path):
    photograph, box = tmp_path / "a.png", Box(np.array([350.0, 225.0]), 1.5)
    cv2.imwrite(str(photograph), np.full((400, 500, 3), 90, np.uint8))
    joints = np.random.default_rng(0).uniform((300, 100), (400, 350), (49, 2))
    keypoints = np.concatenate([joints, np.full((49, 1), 0.8)], axis=1)[None]
    seen = crop_keypoints(keypoints, box.center[None], np.array([box.scale])).repeat(2, axis=0)
    seen = seen.astype(np.float32)
    seen[1, :, 2] = 0
    shown = [Photograph(photograph, box)] * 2
    people = PeopleToFit(["day/a#0", "day/a#1"], seen, None, np.zeros(2, bool), shown)
    depth = 50.0
    # 20 px right of and 10 px above the crop's middle.
    place = torch.tensor([[20 * depth / 5000, -10 * depth / 5000, depth]]).expand(2, 3)
    state = BodyState(torch.zeros(2, 72), torch.zeros(2, 10), place)
    status = np.array([STATUSES.index(name) for name in ("rejected_reprojection", "too_few_joints")])
    assert save_overlays(tmp_path / "out", people, make_body_model(ball), state, status) == 1
    before, after = (cv2.imread(str(path)).astype(int) for path in (photograph, tmp_path / "out/day/a.jpg"))
    # The body is orange; the joints are yellow.
    rows, columns = np.nonzero(after[..., 2] - after[..., 1] > 60)
    expected = transform_points(
        np.linalg.inv(np.vstack([crop_affine(box.center, box.scale), [0, 0, 1]]))[:2],
        np.array([[CENTER_PX + 20, CENTER_PX - 10]]),
    )[0]
    assert abs(columns.mean() - expected[0]) < 4
    assert abs(rows.mean() - expected[1]) < 4
    assert np.abs(after[380:, :100] - before[380:, :100]).max() < 12


def test_a_person_without_a_usable_fit_is_shown_by_the_joints_alone(ball, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((224, 224, 3), 90, np.uint8))
    seen = np.zeros((1, 49, 3), np.float32)
    seen[0, 0] = 60.0, 50.0, 1.0
    shown: list[Photograph | None] = [Photograph(tmp_path / "a.png", Box(np.full(2, 112.0), 1.12))]
    people = PeopleToFit(["a#0"], seen, None, np.zeros(1, bool), shown)
    state = BodyState(torch.zeros(1, 72), torch.zeros(1, 10), torch.tensor([[0.0, 0.0, 50.0]]))
    status = np.array([STATUSES.index("too_few_joints")])
    save_overlays(tmp_path / "out", people, make_body_model(ball), state, status)
    changed = np.abs(cv2.imread(str(tmp_path / "out/a.jpg")).astype(int) - 90).max(-1) > 30
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - 50) < 1
    assert abs(columns.mean() - 60) < 1
    assert changed.sum() < 100


def test_fits_are_written_under_the_promised_names(tmp_path, fitter, crowd):
    result = fitter.fit(*crowd)
    save_fits(tmp_path / "fits.npz", [str(n) for n in range(12)], result, np.full(12, 1), 0.5)
    with np.load(tmp_path / "fits.npz", allow_pickle=False) as fits:
        shapes = {key: fits[key].shape for key in fits.files}
        assert set(fits["status"]) == {STATUSES[1]}
        np.testing.assert_array_equal(fits["cam_t"], result.state.translation)
    assert shapes == {
        "ids": (12,), "pose": (12, 72), "betas": (12, 10), "cam_t": (12, 3), "joints": (12, 49, 3),
        "reprojection": (12, 49), "objective": (12,), "status": (12,), "iterations": (12,), "seconds": (),
    }  # fmt: skip
