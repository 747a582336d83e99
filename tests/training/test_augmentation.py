import re

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.pose import flip_pose, rotate_pose
from spinloop.geometry.camera import project
from spinloop.geometry.crop import crop_affine, crop_from_packed, transform_points, warp
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.joints import COMMON24, MODEL49
from spinloop.params.datasets import CropsParams
from spinloop.params.loader import load_yaml, overlay, parse_section
from spinloop.params.training import AugmentationParams, TrainParams
from spinloop.tables.crops import pack_crop
from spinloop.training.augmentation import (
    NO_AUGMENTATION,
    Augmentation,
    augment_joints_3d,
    augment_keypoints,
    augment_keypoints_official,
    augmented_affine,
    crops_fault,
    sample_augmentation,
)

PAPER = AugmentationParams(
    flip_probability=0.5, channel_noise=0.4, rotation_deg=30.0, upright_probability=0.6, scale=0.25
)
CENTER, SCALE = np.array([190.0, 150.0]), 1.1
AUGMENTATIONS = [
    NO_AUGMENTATION,
    Augmentation(True, np.ones(3), 0.0, 1.0),
    Augmentation(False, np.ones(3), 35.0, 0.8),
    Augmentation(True, np.ones(3), -50.0, 1.2),
]


@pytest.mark.parametrize(
    "presets",
    [[], ["large"], ["paper"], ["paper", "released"], ["../tests/pipeline/params_toy"]],
    ids="+".join,
)
def test_no_training_image_of_a_preset_has_a_black_corner(repository, presets):
    """The steepest rotation with the farthest zoom, of a white photograph without an end."""
    values = load_yaml(repository / "params.yaml")
    for name in presets:
        path = repository / f"params/{name}.yaml"
        overlay(values, load_yaml(path), path)
    crops = parse_section(values, "crops", CropsParams, repository)
    params = parse_section(values, "train", TrainParams, repository).augmentation
    image_px = int(values["network"]["image_px"])
    assert crops_fault(params, image_px, crops.size_px, crops.margin) is None
    data, affine = pack_crop(np.full((1200, 1200, 3), 255, np.uint8), np.array([600.3, 599.6]), 1.5, crops)
    packed = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    steepest = 2 * params.rotation_deg
    for rotation in (0.0, 45.0 if steepest > 45 else steepest, -steepest):
        view = augmented_affine(
            np.array([600.3, 599.6]),
            1.5,
            Augmentation(False, np.ones(3), rotation, 1 + params.scale),
            float(image_px),
        )
        assert crop_from_packed(packed, affine, view, image_px).min() > 250, rotation


def test_crops_need_what_the_augmentation_reaches():
    assert crops_fault(PAPER, 224, 224, 1.77) is None
    fault = crops_fault(PAPER, 224, 224, 1.5)
    assert fault is not None
    assert re.search(r"margin: 1\.5 leaves black corners .*±60° and zooms out to 1\.25; make it 1\.77", fault)
    assert crops_fault(PAPER.model_copy(update={"upright_probability": 1.0}), 224, 224, 1.25) is None


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("size", [64, 97, 224])
def test_image_and_keypoint_move_alike(augmentation, size):
    """A bright spot of the packed image is found, in the augmented crop, where its keypoint lies."""
    spot = np.array([214.3, 131.8])
    rows, columns = np.mgrid[:300, :400] + 0.5
    bright = 255 * np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * 6.0**2))
    image = np.repeat(bright[..., None], 3, 2).round().astype(np.uint8)
    packed_affine = crop_affine(CENTER, 1.8, size_px=224.0)
    packed = warp(image, packed_affine, 224)
    crop = crop_from_packed(
        packed, packed_affine, augmented_affine(CENTER, SCALE, augmentation, float(size)), size
    ).astype(float)[..., 0]
    rows, columns = np.mgrid[:size, :size] + 0.5
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()

    keypoints = np.zeros((49, 3), np.float32)
    nose = MODEL49.index("nose")
    keypoints[nose] = [*spot, 1]
    moved = augment_keypoints(
        keypoints, augmented_affine(CENTER, SCALE, augmentation), augmentation.is_flipped
    )
    assert moved[nose, :2] * size / 224 == pytest.approx(found, abs=0.12)


def test_flipping_is_exact_about_the_crops_middle():
    """Pixel by pixel the flipped crop is the crop reversed, and x turns to 224 − x."""
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    plain, flipped = (
        augmented_affine(CENTER, SCALE, augmentation, 64.0) for augmentation in AUGMENTATIONS[:2]
    )
    assert (warp(image, flipped, 64).astype(int) - warp(image, plain, 64)[:, ::-1]).__abs__().max() <= 1
    keypoints = np.random.default_rng(1).uniform(0, 300, (49, 3)).astype(np.float32)
    keypoints[:, 2] = 1
    plain, flipped = (
        augment_keypoints(keypoints, augmented_affine(CENTER, SCALE, augmentation), augmentation.is_flipped)
        for augmentation in AUGMENTATIONS[:2]
    )
    left, right = MODEL49.index("left_wrist"), MODEL49.index("right_wrist")
    assert flipped[left, 0] == pytest.approx(224 - plain[right, 0], abs=1e-4)
    assert flipped[left, 1] == pytest.approx(plain[right, 1], abs=1e-4)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_3d_joints_pose_and_keypoints_are_augmented_alike(augmentation):
    """Augmented 3D joints and root of a far body project to the augmented keypoints."""
    rng = np.random.default_rng(2)
    joints = np.concatenate([0.4 * rng.standard_normal((24, 3)), np.ones((24, 1))], 1).astype(np.float32)
    focal, depth = 1.0e6, torch.tensor([[0.0, 0.0, 1.0e4]])
    half = 100 * SCALE
    to_picture = lambda points: project(points, depth, focal, 0.0)[0].numpy() + CENTER  # noqa: E731
    keypoints = np.zeros((49, 3))
    keypoints[25:, :2] = to_picture(torch.from_numpy(joints[None, :, :3]).double())
    keypoints[25:, 2] = 1
    augmented_3d = augment_joints_3d(joints, augmentation)
    augmented_2d = augment_keypoints(
        keypoints, augmented_affine(CENTER, SCALE, augmentation), augmentation.is_flipped
    )[25:]
    seen = to_picture(torch.from_numpy(augmented_3d[None, :, :3]).double()) - CENTER
    assert seen / (half * augmentation.zoom) == pytest.approx(augmented_2d[:, :2] / 112 - 1, abs=1e-3)

    pose = torch.from_numpy(0.5 * rng.standard_normal((1, 72)))
    rotated = rotate_pose(pose, torch.tensor([augmentation.rotation_deg]))
    augmented_pose = flip_pose(rotated) if augmentation.is_flipped else rotated
    # The root moves a joint on the midline (it has no partner) as the picture does.
    point = np.zeros((24, 4))
    neck = COMMON24.index("neck_lsp")
    point[neck, :3] = (axis_angle_to_matrix(pose[:, :3])[0] @ torch.tensor([0.0, 0.5, 0.2]).double()).numpy()
    by_root = axis_angle_to_matrix(augmented_pose[:, :3])[0] @ torch.tensor([0.0, 0.5, 0.2]).double()
    assert augment_joints_3d(point, augmentation)[neck, :3] == pytest.approx(by_root.numpy(), abs=1e-5)


def test_zero_confidence_stays_without_a_place():
    moved = augment_keypoints(np.zeros((49, 3)), augmented_affine(CENTER, SCALE, AUGMENTATIONS[3]), True)
    assert not moved.any()


def test_arguments_are_left_alone():
    rng = np.random.default_rng(0)
    keypoints, joints = rng.random((49, 3)), rng.random((24, 4))
    copies = keypoints.copy(), joints.copy()
    affine = augmented_affine(CENTER, SCALE, AUGMENTATIONS[3])
    augment_keypoints(keypoints, affine, True)
    augment_joints_3d(joints, AUGMENTATIONS[3])
    assert np.array_equal(keypoints, copies[0])
    assert np.array_equal(joints, copies[1])


def test_samples_follow_the_published_distribution():
    samples = [sample_augmentation(np.random.default_rng([3, i]), PAPER) for i in range(4000)]
    rotation = np.array([augmentation.rotation_deg for augmentation in samples])
    zoom = np.array([augmentation.zoom for augmentation in samples])
    gains = np.array([augmentation.gains for augmentation in samples])
    # Four standard errors of 4000 samples.
    assert np.mean([augmentation.is_flipped for augmentation in samples]) == pytest.approx(0.5, abs=0.032)
    assert np.mean(rotation == 0) == pytest.approx(0.6, abs=0.031)
    assert abs(rotation).max() <= 60
    assert rotation[rotation != 0].std() == pytest.approx(28.9, abs=1.6)
    assert (zoom.min(), zoom.max()) == (0.75, 1.25)
    assert np.mean(zoom == 0.75) == pytest.approx(0.159, abs=0.024)
    assert gains.min() > 0.6
    assert gains.max() < 1.4
    assert gains.mean() == pytest.approx(1.0, abs=0.009)


def test_crop_affine_is_the_map_without_augmentation():
    points = np.array([[100.4, 50.7], [320.0, 240.0]])
    affine = augmented_affine(np.array([320.0, 240.0]), 1.5, NO_AUGMENTATION)
    # SPIN_FACTS 11.2, exact column.
    assert transform_points(affine, points) == pytest.approx(
        np.array([[-51.968, -29.344], [112, 112]]), abs=1e-3
    )


@pytest.mark.parametrize(
    ("point", "upright", "rotated"),
    [
        ((0, 0), (-125, -66), (-183, 77)),
        ((100.4, 50.7), (-50, -28), (-99, 72)),
        ((500.9, 430.2), (248, 255), (300, 168)),
        ((170, 90), (1, 1), (-39, 72)),
    ],
)
def test_augment_keypoints_official_are_the_published_ones(point, upright, rotated):
    """SPIN_FACTS 11.2: whole pixels, cut off and moved by one."""
    keypoints = np.zeros((49, 3), np.float32)
    keypoints[10] = [*point, 1]
    for augmentation, wanted in (
        (NO_AUGMENTATION, upright),
        (NO_AUGMENTATION._replace(rotation_deg=30.0), rotated),
    ):
        moved = augment_keypoints_official(keypoints, np.array([320.0, 240.0]), 1.5, augmentation)
        assert moved[10].tolist() == [*wanted, 1]
        assert not np.delete(moved, 10, 0).any()


def test_augment_keypoints_official_mirror_about_112():
    """SPIN_FACTS Q4: x becomes 224 − x, and left and right change names."""
    keypoints = np.zeros((49, 3), np.float32)
    left, right = MODEL49.index("left_wrist"), MODEL49.index("right_wrist")
    keypoints[right] = [170, 90, 1]
    flipped = augment_keypoints_official(keypoints, np.array([320.0, 240.0]), 1.5, AUGMENTATIONS[1])
    assert flipped[left].tolist() == [223, 1, 1]
    assert not flipped[right].any()
