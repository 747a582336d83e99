import numpy as np
import pytest

from spinloop.joints import SMPL24
from spinloop.motion.clips import Clip, recorded_joints
from spinloop.motion.mixture_fit import subsample, with_flipped


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


def test_a_joint_is_unrecorded_only_if_it_never_moves():
    poses = np.ones((5, 72))
    poses[:, 3 * SMPL24.index("spine2") : 3 * SMPL24.index("spine2") + 3] = 0
    poses[:4, 3 * SMPL24.index("left_knee") :][:, :3] = 0
    recorded = recorded_joints(Clip("a", 30.0, poses))
    assert [SMPL24[i] for i in np.flatnonzero(~recorded)] == ["spine2"]


def test_flipping_twice_gives_the_frames(clips):
    frames = subsample(clips, 10)
    once = with_flipped(frames)
    n = len(frames.poses)
    twice = with_flipped(type(once)(once.poses[n:], once.is_recorded[n:]))
    np.testing.assert_array_equal(once.poses[:n], frames.poses)
    np.testing.assert_array_equal(twice.poses[n:], frames.poses)
    np.testing.assert_array_equal(twice.is_recorded[n:], frames.is_recorded)
