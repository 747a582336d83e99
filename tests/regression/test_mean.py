import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.regression.hmr import load_mean, mean_from_prior


def test_mean_of_the_prior_is_upright_and_weighted():
    rng = np.random.default_rng(0)
    means, weights = 0.3 * rng.standard_normal((2, 69)), np.array([0.25, 0.75])
    mean = mean_from_prior(means, weights)
    assert mean.pose[:6] == pytest.approx([1, 0, 0, -1, 0, 0], abs=1e-6)
    body = Rotation.from_rotvec((0.25 * means[0] + 0.75 * means[1]).reshape(23, 3)).as_matrix()
    # Interleaved: r00, r01, r10, r11, r20, r21.
    assert mean.pose[6:].reshape(23, 3, 2) == pytest.approx(body[:, :, :2], abs=1e-6)
    assert mean.cam == pytest.approx([0.9, 0, 0])
    assert not mean.shape.any()


def test_official_file_is_read(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"pose": rng.random(144), "shape": rng.random(10), "cam": np.array([0.9, 0, 0])}
    np.savez(tmp_path / "mean.npz", **arrays)
    mean = load_mean(tmp_path / "mean.npz")
    for key, values in arrays.items():
        assert getattr(mean, key) == pytest.approx(values, abs=1e-6)


def test_columns_that_follow_each_other_are_refused(tmp_path):
    matrices = Rotation.random(24, random_state=0).as_matrix()
    for order, pose in (("ours", matrices[:, :, :2]), ("theirs", matrices[:, :, :2].transpose(0, 2, 1))):
        np.savez(tmp_path / f"{order}.npz", pose=pose.ravel(), shape=np.zeros(10), cam=np.array([0.9, 0, 0]))
    assert load_mean(tmp_path / "ours.npz").pose == pytest.approx(matrices[:, :, :2].ravel(), abs=1e-6)
    with pytest.raises(UserError, match=r"theirs\.npz: pose: the columns of the rotations follow each other"):
        load_mean(tmp_path / "theirs.npz")


def test_file_with_a_wrong_size_is_refused_by_key(tmp_path):
    np.savez(tmp_path / "mean.npz", pose=np.zeros(72), shape=np.zeros(10), cam=np.zeros(3))
    with pytest.raises(UserError, match=r"mean\.npz: pose: expected 144 numbers, found float64 \(72,\)"):
        load_mean(tmp_path / "mean.npz")


def test_damaged_and_absent_files_are_refused(tmp_path):
    (tmp_path / "mean.npz").write_bytes(b"not an archive")
    with pytest.raises(UserError, match="not a readable npz"):
        load_mean(tmp_path / "mean.npz")
    with pytest.raises(UserError, match="no such file"):
        load_mean(tmp_path / "absent.npz")
    np.savez(tmp_path / "whole.npz", pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3))
    (tmp_path / "mean.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:400])
    with pytest.raises(UserError, match=r"mean\.npz: not a readable npz \(.+\); name SPIN's"):
        load_mean(tmp_path / "mean.npz")
    np.save(tmp_path / "mean.npy", np.zeros(144))
    (tmp_path / "mean.npy").rename(tmp_path / "mean.npz")
    with pytest.raises(UserError, match=r"mean\.npz: a single array, not an npz archive"):
        load_mean(tmp_path / "mean.npz")


def test_words_in_place_of_numbers_are_refused(tmp_path):
    arrays = {"pose": np.zeros(144), "shape": np.array(["a"] * 10), "cam": np.zeros(3)}
    np.savez(tmp_path / "mean.npz", **arrays)
    with pytest.raises(UserError, match=r"mean\.npz: shape: expected 10 numbers, found <U1"):
        load_mean(tmp_path / "mean.npz")
