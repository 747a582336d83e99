import numpy as np
import pytest

from spinloop.motion.clips import Clip
from spinloop.motion.mixture_fit import Frames, fill_unrecorded, fit_mixture, subsample, with_flipped

OPTIONS = {"frames_per_clip": 20, "floor_std_rad": 0.05, "unseen_std_rad": 0.2, "seed": 0}


@pytest.fixture
def fitted(clips):
    return fit_mixture(clips, n_components=2, **OPTIONS)


def test_the_same_seed_gives_the_same_mixture(fitted, clips):
    again = fit_mixture(clips, n_components=2, **OPTIONS)
    np.testing.assert_array_equal(again.mixture.covars, fitted.mixture.covars)
    assert again.log_likelihood == fitted.log_likelihood


def test_a_mixture_of_two_kinds_has_two_log_likelihoods_and_one_of_a_single_gaussian(fitted):
    assert set(fitted.log_likelihood) == {"train", "held_out", "held_out_single"}
    assert fitted.log_likelihood["train"] > fitted.log_likelihood["held_out"]


def test_components_come_in_order_of_weight(fitted):
    assert (np.diff(fitted.mixture.weights) <= 0).all()
    assert fitted.mixture.weights.sum() == pytest.approx(1)


def test_no_angle_is_tighter_than_the_floor(fitted):
    assert np.linalg.eigvalsh(fitted.mixture.covars).min() >= 0.05**2 * (1 - 1e-9)


def test_joints_that_hardly_any_clip_has_are_independent_and_of_the_named_width(fitted):
    np.testing.assert_allclose(fitted.mixture.means[:, 63:], 0)
    np.testing.assert_allclose(fitted.mixture.covars[:, 63:, 63:], np.tile(0.04 * np.eye(6), (2, 1, 1)))
    assert np.abs(fitted.mixture.covars[:, :63, 63:]).max() == 0


def test_a_joint_that_some_clips_lack_is_filled_from_its_neighbours(clips):
    frames = subsample(clips, 50)
    is_fitted = np.arange(23) < 21
    lacking = ~frames.is_recorded[:, 5]
    assert 0 < lacking.sum() < len(lacking)
    filled = fill_unrecorded(frames, frames, is_fitted, 0.02, np.random.default_rng(0))
    # In the clips that have it, spine2 (rows 15–17) turns as spine1 (6–8) does.
    correlation = np.corrcoef(filled[lacking, 6], filled[lacking, 15])[0, 1]
    assert correlation > 0.9, correlation
    np.testing.assert_array_equal(filled[~lacking, :63], frames.poses[~lacking, :63])
    assert (frames.poses[lacking, 15:18] == 0).all(), "the frames themselves are left as they were"


def test_filling_without_a_complete_frame_says_so():
    frames = Frames(np.ones((4, 69)), np.array([[True] * 22 + [False], [False] + [True] * 22] * 2))
    with pytest.raises(ValueError, match="no recording has all the joints"):
        fill_unrecorded(frames, frames, np.ones(23, dtype=bool), 0.1, np.random.default_rng(0))


@pytest.mark.parametrize("length", [1, 7, 60, 61, 1000])
def test_subsampling_takes_evenly_spaced_frames_and_no_more_than_asked(length):
    poses = np.repeat(np.arange(1.0, length + 1)[:, None], 72, axis=1)
    frames = subsample([Clip("a", 30.0, poses)], 60).poses[:, 0]
    assert len(frames) == min(60, length)
    if length > 1:
        steps = np.diff(frames)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_a_long_clip_weighs_no_more_than_a_short_one():
    clips = [Clip("long", 30.0, np.ones((9000, 72))), Clip("short", 30.0, 2 * np.ones((50, 72)))]
    frames = subsample(clips, 40)
    assert (frames.poses[:, 0] == 1).sum() == (frames.poses[:, 0] == 2).sum() == 40


def test_flipping_twice_gives_the_frames(clips):
    frames = subsample(clips, 10)
    once = with_flipped(frames)
    n = len(frames.poses)
    twice = with_flipped(type(once)(once.poses[n:], once.is_recorded[n:]))
    np.testing.assert_array_equal(once.poses[:n], frames.poses)
    np.testing.assert_array_equal(twice.poses[n:], frames.poses)
    np.testing.assert_array_equal(twice.is_recorded[n:], frames.is_recorded)
