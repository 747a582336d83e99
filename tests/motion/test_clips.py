import numpy as np

from spinloop.joints import SMPL24
from spinloop.motion.clips import Clip, recorded_joints


def test_a_joint_is_unrecorded_only_if_it_never_moves():
    poses = np.ones((5, 72))
    poses[:, 3 * SMPL24.index("spine2") : 3 * SMPL24.index("spine2") + 3] = 0
    poses[:4, 3 * SMPL24.index("left_knee") :][:, :3] = 0
    recorded = recorded_joints(Clip("a", 30.0, poses))
    assert [SMPL24[i] for i in np.flatnonzero(~recorded)] == ["spine2"]
