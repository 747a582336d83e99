from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.skinning import Transforms, blend_skin, chain, from_rest, pose_features, tree_levels
from spinloop.joints import SMPL_PARENTS


@pytest.fixture
def skeleton():
    random = np.random.default_rng(3)
    rotations = Rotation.random(2 * 24, random_state=random).as_matrix().reshape(2, 24, 3, 3)
    return torch.tensor(rotations), torch.tensor(random.normal(size=(2, 24, 3)))


def _chain_with_4x4(rotations, joints):
    """SMPL's definition: products of homogeneous matrices from the root outwards."""
    world = []
    for joint, parent in enumerate(SMPL_PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(world[parent] @ local if parent >= 0 else local)
    return np.array(world)


def test_chain_equals_products_of_homogeneous_matrices(skeleton):
    posed = chain(*skeleton, SMPL_PARENTS)
    for sample in range(2):
        expected = _chain_with_4x4(skeleton[0][sample].numpy(), skeleton[1][sample].numpy())
        np.testing.assert_allclose(posed.rotation[sample], expected[:, :3, :3], atol=1e-12)
        np.testing.assert_allclose(posed.translation[sample], expected[:, :3, 3], atol=1e-12)


def test_bones_keep_their_length(skeleton):
    posed = chain(*skeleton, SMPL_PARENTS).translation
    bones = [(child, parent) for child, parent in enumerate(SMPL_PARENTS) if parent >= 0]
    for child, parent in bones:
        before = (skeleton[1][:, child] - skeleton[1][:, parent]).norm(dim=-1)
        np.testing.assert_allclose((posed[:, child] - posed[:, parent]).norm(dim=-1), before, atol=1e-12)


def test_levels_hold_every_joint_once_and_parents_one_level_up():
    levels = tree_levels(SMPL_PARENTS)
    assert sorted(joint for level in levels for joint in level) == list(range(24))
    for above, level in pairwise(levels):
        assert all(SMPL_PARENTS[joint] in above for joint in level)


def test_a_joint_fixed_point_follows_its_joint(skeleton):
    posed = chain(*skeleton, SMPL_PARENTS)
    motions = from_rest(posed, skeleton[1])
    moved = blend_skin(skeleton[1], torch.eye(24, dtype=torch.float64), motions)
    np.testing.assert_allclose(moved, posed.translation, atol=1e-12)


def test_equal_motions_move_all_points_alike(skeleton):
    random = np.random.default_rng(4)
    weights = torch.tensor(random.dirichlet(np.ones(24), size=50))
    points = torch.tensor(random.normal(size=(2, 50, 3)))
    rotation, shift = skeleton[0][:, :1], skeleton[1][:, :1]
    motions = Transforms(rotation.expand(-1, 24, -1, -1), shift.expand(-1, 24, -1))
    expected = points @ rotation[:, 0].mT + shift
    np.testing.assert_allclose(blend_skin(points, weights, motions), expected, atol=1e-12)


def test_pose_features_leave_out_the_root_and_vanish_in_the_t_pose(skeleton):
    still = torch.eye(3, dtype=torch.float64).expand(1, 24, 3, 3).clone()
    assert pose_features(still).abs().max() == 0
    still[:, 0] = skeleton[0][:1, 0]
    assert pose_features(still).abs().max() == 0
    still[:, 2] = skeleton[0][:1, 2]
    np.testing.assert_allclose(pose_features(still)[0, 9:18], (still[0, 2] - torch.eye(3)).flatten())
