"""Poses under horizontal flips and rotations of the crop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from spinloop.body.pose import flip_pose, rotate_pose
from spinloop.body.skinning import chain, pose_to_matrices
from spinloop.geometry.crop import crop_affine, transform_points
from spinloop.joints import SMPL24_FLIP, SMPL_PARENTS

poses = arrays(np.float64, (2, 72), elements=st.floats(-1.7, 1.7)).map(torch.tensor)
angles = arrays(np.float64, 2, elements=st.floats(-180, 180)).map(torch.tensor)


@pytest.fixture
def symmetric_joints():
    """A T-pose that is symmetric in x = 0."""
    joints = np.random.default_rng(0).normal(size=(24, 3))
    return torch.tensor((joints + joints[list(SMPL24_FLIP)] * [-1, 1, 1]) / 2)[None]


@given(pose=poses)
@settings(max_examples=30, deadline=None)
def test_flipping_twice_is_the_identity(pose):
    assert torch.equal(flip_pose(flip_pose(pose)), pose)


@given(pose=poses, angle=angles)
@settings(max_examples=30, deadline=None)
def test_rotating_back_is_the_identity(pose, angle):
    back = rotate_pose(rotate_pose(pose, angle), -angle)
    np.testing.assert_allclose(pose_to_matrices(back), pose_to_matrices(pose), atol=1e-9)
    assert torch.equal(back[:, 3:], pose[:, 3:])


@given(pose=poses, angle=angles)
@settings(max_examples=30, deadline=None)
def test_flipping_reverses_the_sense_of_rotation(pose, angle):
    first = flip_pose(rotate_pose(pose, angle))
    second = rotate_pose(flip_pose(pose), -angle)
    np.testing.assert_allclose(pose_to_matrices(first), pose_to_matrices(second), atol=1e-9)


def test_a_flipped_pose_gives_the_flipped_joints(symmetric_joints):
    pose = torch.randn(1, 72, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def posed(p):
        return chain(pose_to_matrices(p), symmetric_joints, SMPL_PARENTS).translation

    expected = posed(pose)[:, list(SMPL24_FLIP)] * torch.tensor([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(posed(flip_pose(pose)), expected, atol=1e-12)


def test_rotation_equals_the_reference_number():
    # SPIN's rot_aa on (0.3, -0.2, 0.9), 25 degrees.
    pose = torch.zeros(1, 72, dtype=torch.float64)
    pose[0, :3] = torch.tensor([0.3, -0.2, 0.9])
    root = rotate_pose(pose, torch.tensor([25.0], dtype=torch.float64))[0, :3]
    np.testing.assert_allclose(root, (0.243402, -0.253729, 0.468313), atol=1e-6)


def test_rotation_has_the_sense_of_the_crop():
    pose = torch.zeros(1, 72, dtype=torch.float64)
    rotated = rotate_pose(pose, torch.tensor([30.0], dtype=torch.float64))[0, :3].numpy()
    points = np.random.default_rng(0).normal(size=(5, 2))
    spatial = Rotation.from_rotvec(rotated).apply(np.pad(points, ((0, 0), (0, 1))))[:, :2]
    still, crop = (crop_affine(np.zeros(2), 224 / 200, rotation_deg=angle) for angle in (0.0, 30.0))
    moved = transform_points(crop, points) - transform_points(still, np.zeros((1, 2)))
    np.testing.assert_allclose(spatial, moved, atol=1e-9)


def test_float32_keeps_its_type_and_arguments_stay_untouched():
    pose = torch.randn(2, 72, generator=torch.Generator().manual_seed(1))
    angle = torch.tensor([10.0, -170.0])
    copies = pose.clone(), angle.clone()
    assert flip_pose(pose).dtype == rotate_pose(pose, angle).dtype == torch.float32
    assert torch.equal(pose, copies[0])
    assert torch.equal(angle, copies[1])
