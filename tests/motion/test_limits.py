import numpy as np
import pytest

from spinloop.joints import SMPL24, SMPL24_FLIP
from spinloop.motion.mixture import is_plausible


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
