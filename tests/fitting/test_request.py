"""A user's own keypoints: right ones are read, wrong ones are named."""

import numpy as np
import pytest
import torch

from spinloop.errors import UserError
from spinloop.fitting.request import read_request, read_start, save_fits
from spinloop.tables.fits import STATUSES


@pytest.fixture
def arrays(crowd):
    return {"keypoints": crowd[1].numpy().clip(-50, 270)}


def _write(folder, arrays):
    np.savez(folder / "k.npz", **arrays)
    return folder / "k.npz"


def test_keypoints_come_in_pixels_of_the_224_crop(tmp_path, arrays):
    larger = arrays["keypoints"] * (2, 2, 1)
    request = read_request(_write(tmp_path, {"keypoints": larger, "size": 448}))
    np.testing.assert_allclose(request.keypoints, arrays["keypoints"], rtol=1e-6)
    assert request.ids == [str(n) for n in range(12)]
    assert request.start is None


def test_openpose_alone_leaves_the_annotated_joints_unseen(tmp_path, arrays):
    request = read_request(_write(tmp_path, {"keypoints": arrays["keypoints"][:, :25]}))
    assert request.keypoints.shape == (12, 49, 3)
    assert (request.keypoints[:, 25:] == 0).all()


def test_a_start_is_read_from_the_same_file(tmp_path, arrays, crowd):
    start = dict(zip(("pose", "betas", "cam_t"), (part.numpy() for part in crowd[0]), strict=True))
    path = _write(tmp_path, {**arrays, **start})
    request = read_request(path)
    np.testing.assert_array_equal(request.start.pose, start["pose"])
    np.testing.assert_array_equal(request.start.translation, start["cam_t"])


def test_a_pose_alone_is_a_start_whose_camera_is_estimated(tmp_path, arrays, crowd, fitter):
    path = _write(tmp_path, {**arrays, "pose": crowd[0].pose.numpy()})
    request = read_request(path)
    assert (request.start.betas == 0).all()
    result = fitter.fit(request.start, torch.from_numpy(request.keypoints))
    assert (result.state.translation[:, 2] > 2).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: {"points": k}, "keypoints: missing"),
        (lambda k: {"keypoints": k[:, :17]}, r"\(12, 17, 3\)"),
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
        read_request(_write(tmp_path, change(arrays["keypoints"])))
    assert str(tmp_path / "k.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_person_outside_the_crop_is_marked_and_the_others_are_not(tmp_path, arrays):
    arrays["keypoints"][3, :, :2] += 900
    assert read_request(_write(tmp_path, arrays)).is_outside.tolist() == [n == 3 for n in range(12)]


def test_people_whom_the_crop_cuts_off_are_not_marked(tmp_path, arrays):
    """Everybody is moved down by so much that 40 % of the joints lie below the crop."""
    y = arrays["keypoints"][..., 1]
    y += 224 - np.quantile(y, 0.6, axis=1, keepdims=True)
    assert not read_request(_write(tmp_path, arrays)).is_outside.any()


def test_one_person_on_one_spot_is_marked_and_the_others_are_not(tmp_path, arrays):
    arrays["keypoints"][3, :, :2] /= 224
    assert read_request(_write(tmp_path, arrays)).is_outside.tolist() == [n == 3 for n in range(12)]


def test_a_start_of_the_wrong_shape_is_refused(tmp_path, arrays):
    path = _write(tmp_path, {**arrays, "pose": np.zeros((12, 24, 3)), "betas": np.zeros((12, 10))})
    with pytest.raises(UserError, match=r"pose: expected numbers of shape \(12, 72\)"):
        read_request(path)
    other = tmp_path / "other.npz"
    np.savez(other, pose=np.zeros((3, 72)))
    with pytest.raises(UserError, match=r"other\.npz: pose: .*\(12, 72\), found \(3, 72\)"):
        read_start(other, 12)
    np.savez(other, betas=np.zeros((12, 10)))
    with pytest.raises(UserError, match="pose: missing"):
        read_start(other, 12)


def test_fits_are_written_with_all_that_was_promised(tmp_path, arrays, fitter, crowd):
    request = read_request(_write(tmp_path, arrays))
    result = fitter.fit(*crowd)
    save_fits(tmp_path / "fits.npz", request, result, np.full(12, 1), 0.5)
    with np.load(tmp_path / "fits.npz", allow_pickle=False) as fits:
        shapes = {key: fits[key].shape for key in fits.files}
        assert set(fits["status"]) == {STATUSES[1]}
        np.testing.assert_array_equal(fits["cam_t"], result.state.translation)
    assert shapes == {
        "ids": (12,), "pose": (12, 72), "betas": (12, 10), "cam_t": (12, 3), "joints": (12, 49, 3),
        "reprojection": (12, 49), "objective": (12,), "status": (12,), "iterations": (12,), "seconds": (),
    }  # fmt: skip
