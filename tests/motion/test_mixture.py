import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from spinloop.errors import UserError
from spinloop.joints import SMPL24, SMPL24_FLIP
from spinloop.motion.mixture import Mixture, is_plausible, load_mixture, save_mixture


@pytest.fixture(scope="module")
def shipped(repository):
    return load_mixture(repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz")


def test_log_density_equals_scipy(small_mixture):
    poses = np.random.default_rng(2).normal(size=(6, 69))
    parts = [
        weight * multivariate_normal(mean, covar).pdf(poses * 0.1)
        for weight, mean, covar in zip(
            small_mixture.weights, small_mixture.means, small_mixture.covars, strict=True
        )
    ]
    np.testing.assert_allclose(small_mixture.log_prob(poses * 0.1), np.log(np.sum(parts, axis=0)), rtol=1e-9)


def test_log_density_does_not_underflow_where_the_determinant_does(small_mixture):
    tight = Mixture(small_mixture.means, small_mixture.covars * 1e-8, small_mixture.weights)
    assert np.linalg.det(tight.covars).max() == 0
    assert np.isfinite(tight.log_prob(tight.means)).all()


def test_samples_have_the_moments_of_the_mixture(small_mixture):
    samples = small_mixture.sample_unbounded(40_000, np.random.default_rng(0))
    mean = small_mixture.weights @ small_mixture.means
    spread = small_mixture.means - mean
    covar = np.einsum("m,mij->ij", small_mixture.weights, small_mixture.covars)
    covar += np.einsum("m,mi,mj->ij", small_mixture.weights, spread, spread)
    np.testing.assert_allclose(samples.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), covar, atol=0.006)


def test_samples_are_plausible_repeatable_and_extendable(shipped):
    few = shipped.sample(20, np.random.default_rng(5))
    many = shipped.sample(300, np.random.default_rng(5))
    assert few.shape == (20, 69)
    np.testing.assert_array_equal(few, many[:20])
    assert is_plausible(many).all()
    assert not np.array_equal(few, shipped.sample(20, np.random.default_rng(6)))


def test_a_mixture_of_implausible_poses_is_refused(small_mixture):
    knees_forward = small_mixture.means.copy()
    knees_forward[:, [9, 12]] = -2.0
    with pytest.raises(ValueError, match="are plausible poses"):
        Mixture(knees_forward, small_mixture.covars, small_mixture.weights).sample(
            2, np.random.default_rng(0)
        )


def test_the_shipped_mixture_is_a_mixture_of_human_poses(shipped):
    assert shipped.means.shape == (8, 69)
    samples = shipped.sample_unbounded(4000, np.random.default_rng(0))
    share = is_plausible(samples).mean()
    assert share > 0.8, share
    # Nothing is pinned: every angle of every component may differ by some degrees.
    assert np.sqrt(np.linalg.eigvalsh(shipped.covars).min()) > 0.069
    # Hands were not recorded; they are independent of the rest.
    hands = shipped.covars[:, 63:, :63]
    assert np.abs(hands).max() == 0


def test_the_shipped_mixture_gives_real_poses_a_higher_likelihood_than_shuffled_ones(shipped, shared_data):
    archive = np.load(shared_data / "mocap_cmu" / "cmu_smpl_poses.npz")
    poses = archive["poses"][archive["ok"]][::37, 3:].astype(float)
    shuffled = np.random.default_rng(0).permuted(poses, axis=0)
    real, random = shipped.log_prob(poses).mean(), shipped.log_prob(shuffled).mean()
    assert real > random + 20, (real, random)


def test_saved_and_loaded_is_the_same_within_float32(small_mixture, tmp_path):
    save_mixture(tmp_path / "a.npz", small_mixture, {"train": 1.0})
    loaded = load_mixture(tmp_path / "a.npz")
    np.testing.assert_allclose(loaded.means, small_mixture.means, rtol=1e-6)
    np.testing.assert_allclose(loaded.covars, small_mixture.covars, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(loaded.covars, loaded.covars.transpose(0, 2, 1))
    assert loaded.weights.sum() == pytest.approx(1, abs=1e-15)
    save_mixture(tmp_path / "b.npz", small_mixture, {"train": 1.0})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": None}, "means: missing"),
        ({"means": np.zeros((3, 68))}, r"means: expected shape \(3, 69\), found \(3, 68\)"),
        ({"weights": np.array([0.9, 0.3, 0.2])}, "weights: expected positive numbers that sum to one"),
        ({"weights": np.array([1.2, -0.4, 0.2])}, "weights: expected positive numbers"),
        ({"covars": -np.tile(np.eye(69), (3, 1, 1))}, "covars: expected symmetric"),
        ({"covars": np.full((3, 69, 69), np.nan)}, "covars: not all entries are finite"),
    ],
)
def test_a_wrong_array_is_named(small_mixture, tmp_path, changes, message):
    arrays = {"means": small_mixture.means, "covars": small_mixture.covars, "weights": small_mixture.weights}
    arrays |= changes
    np.savez(tmp_path / "m.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=message) as caught:
        load_mixture(tmp_path / "m.npz")
    assert "m.npz" in str(caught.value)


def test_absent_and_truncated_files_are_one_line(small_mixture, tmp_path):
    path = tmp_path / "m.npz"
    with pytest.raises(UserError, match="no such file"):
        load_mixture(path)
    save_mixture(path, small_mixture, {})
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match="not a readable npz"):
        load_mixture(path)


def test_arguments_are_left_as_they_were(small_mixture):
    poses = np.zeros((2, 69))
    copies = small_mixture.means.copy(), small_mixture.covars.copy()
    small_mixture.log_prob(poses)
    small_mixture.sample_unbounded(3, np.random.default_rng(0))
    assert (poses == 0).all()
    np.testing.assert_array_equal(small_mixture.means, copies[0])
    np.testing.assert_array_equal(small_mixture.covars, copies[1])


def test_smplifys_pickle_is_read_and_anything_else_in_one_refused(small_mixture, tmp_path):
    arrays = {"means": small_mixture.means, "covars": small_mixture.covars, "weights": small_mixture.weights}
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    np.testing.assert_array_equal(load_mixture(path).means, small_mixture.means)
    path.write_bytes(pickle.dumps(arrays | {"covars": print}, protocol=2))
    with pytest.raises(UserError, match=r"__builtin__\.print.*refused"):
        load_mixture(path)
    path.write_bytes(pickle.dumps(arrays | {"covars": "none"}, protocol=2))
    with pytest.raises(UserError, match="covars: not all entries are finite numbers"):
        load_mixture(path)
    path.write_bytes(pickle.dumps([1], protocol=2))
    with pytest.raises(UserError, match="expected a dictionary, found list"):
        load_mixture(path)


def _pose(joint, vector):
    pose = np.zeros((23, 3))
    pose[SMPL24.index(joint) - 1] = vector
    return pose.reshape(1, 69)


def test_the_t_pose_is_plausible():
    assert is_plausible(np.zeros((1, 69))).all()


@pytest.mark.parametrize(
    ("joint", "vector"),
    [
        ("left_knee", (-0.5, 0, 0)),
        ("right_knee", (0, 0.6, 0)),
        ("left_elbow", (0, 0.5, 0)),
        ("right_elbow", (0, -0.5, 0)),
        ("head", (0, 2.0, 0)),
        ("left_hip", (-2.8, 0, 0)),
    ],
)
def test_impossible_poses_are_not_plausible(joint, vector):
    assert not is_plausible(_pose(joint, vector)).any()


@pytest.mark.parametrize(
    ("joint", "vector"),
    [
        ("left_knee", (2.2, 0.1, 0)),
        ("left_elbow", (0, -2.2, 0.6)),
        ("right_elbow", (0, 2.2, -0.6)),
        ("left_hip", (-1.9, 0, 0)),
        ("right_shoulder", (0, 0, 1.5)),
    ],
)
def test_ordinary_poses_are_plausible(joint, vector):
    assert is_plausible(_pose(joint, vector)).all()


def test_flipped_poses_are_as_plausible():
    poses = 0.5 * np.random.default_rng(0).normal(size=(200, 69))
    order = np.array(SMPL24_FLIP[1:]) - 1
    mirrored = (poses.reshape(-1, 23, 3)[:, order] * [1, -1, -1]).reshape(-1, 69)
    np.testing.assert_array_equal(is_plausible(poses), is_plausible(mirrored))


def test_nearly_all_recorded_poses_are_plausible(shared_data):
    archive = np.load(shared_data / "mocap_cmu" / "cmu_smpl_poses.npz")
    share = is_plausible(archive["poses"][archive["ok"], 3:].astype(float)).mean()
    assert share > 0.85, share
