import numpy as np
import pytest
import torch

from spinloop.geometry.camera import (
    camera_to_translation,
    denormalize_keypoints,
    estimate_translation,
    normalize_keypoints,
    project,
    translation_to_camera,
)
from spinloop.geometry.crop import CENTER_PX, CROP_PX, FOCAL_PX


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def scene():
    """Joints, their place, their projections with noise and confidences: the reference's shared case."""
    random = np.random.RandomState(0)
    joints = 0.3 * random.randn(49, 3)
    translation = np.array([0.1, -0.05, 40.0])
    moved = joints + translation
    pixels = 5000 * moved[:, :2] / moved[:, 2:] + 112
    pixels = pixels + random.randn(49, 2)
    confidence = random.rand(49, 1)[:, 0]
    return tensor(joints)[None], tensor(pixels)[None], tensor(confidence)[None], tensor(translation)[None]


def test_the_networks_camera_equals_the_reference():
    translation = camera_to_translation(tensor([0.9, 0.05, -0.1]))
    np.testing.assert_allclose(translation, [0.05, -0.1, 49.603176], atol=1e-6)
    points = tensor([[0.1, 0.2, 0.3], [-0.4, 0.5, 0.0]])
    seen = normalize_keypoints(project(points, translation))
    np.testing.assert_allclose(seen, [[0.134188, 0.089459], [-0.315, 0.36]], atol=1e-6)


def test_camera_and_back_is_identity():
    camera = tensor([[0.9, 0.05, -0.1], [0.3, -1.0, 2.0]])
    np.testing.assert_allclose(translation_to_camera(camera_to_translation(camera)), camera, atol=1e-9)


def test_normalizing_and_back_is_identity():
    pixels = tensor([[0.0, 0.0], [112.0, 224.0], [-30.0, 300.0]])
    normalized = normalize_keypoints(pixels)
    np.testing.assert_allclose(normalized[:2], [[-1, -1], [0, 1]])
    np.testing.assert_allclose(denormalize_keypoints(normalized), pixels)


def test_a_point_on_the_axis_falls_on_the_center():
    seen = project(torch.zeros(1, 1, 3), torch.tensor([[0.0, 0.0, 7.0]]))
    assert seen.tolist() == [[[CENTER_PX, CENTER_PX]]]


def test_translation_equals_the_reference(scene):
    joints, pixels, confidence, _ = scene
    # The published code hands over the annotated joints only.
    found = estimate_translation(joints[:, 25:], pixels[:, 25:], confidence[:, 25:])
    np.testing.assert_allclose(found[0], (0.0998741, -0.0508296, 40.0120354), atol=1e-6)


def test_translation_of_perfect_keypoints_is_recovered(scene):
    joints, _, confidence, translation = scene
    found = estimate_translation(joints, project(joints, translation), confidence)
    np.testing.assert_allclose(found, translation, atol=1e-9)


def test_joints_without_confidence_do_not_matter_whatever_they_hold(scene):
    joints, pixels, confidence, _ = scene
    confidence = confidence.clone()
    confidence[:, ::3] = 0
    spoiled = pixels.clone()
    spoiled[:, ::3] = torch.tensor([float("nan"), 1e9], dtype=torch.float64)
    expected = estimate_translation(joints, pixels, confidence)
    np.testing.assert_array_equal(estimate_translation(joints, spoiled, confidence), expected)


def test_a_person_without_keypoints_gets_the_stated_place_and_leaves_the_others_alone(scene):
    joints, pixels, confidence, _ = scene
    alone = estimate_translation(joints, pixels, confidence)
    both = estimate_translation(
        joints.repeat(2, 1, 1), pixels.repeat(2, 1, 1), torch.cat([confidence, torch.zeros_like(confidence)])
    )
    np.testing.assert_allclose(both[0], alone[0], atol=1e-12)
    np.testing.assert_allclose(both[1], [0, 0, 2 * FOCAL_PX / CROP_PX])


def test_float32_keeps_its_type_and_arguments_stay_untouched(scene):
    arguments = [tensor.float() for tensor in scene[:3]]
    copies = [tensor.clone() for tensor in arguments]
    assert estimate_translation(*arguments).dtype == torch.float32
    for argument, copy in zip(arguments, copies, strict=True):
        assert torch.equal(argument, copy)
