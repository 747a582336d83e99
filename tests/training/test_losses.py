import math
from dataclasses import replace

import pytest
import torch

from spinloop.body.model import BodyModel
from spinloop.geometry.camera import camera_to_translation, denormalize_keypoints, project
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.joints import COMMON24
from spinloop.params.training import LossWeights
from spinloop.regression.hmr import Prediction
from spinloop.training import losses
from spinloop.training.batches import Batch
from spinloop.training.losses import Target, loss_terms, weighted_sum
from spinloop.training.step import TrainingContext


def _terms(
    context: TrainingContext, predicted: Prediction, target: Target, batch: Batch, weights: LossWeights
) -> dict[str, torch.Tensor]:
    return loss_terms(context.joints, context.mesh, predicted, target, batch, weights, context.processes)


@pytest.fixture
def perfect(make_run, first_batch, people, train_params):
    """A batch, a perfect prediction of it, and its target."""
    run = make_run()
    plain = train_params.augmentation.model_copy(
        update={"flip_probability": 0.0, "rotation_deg": 0.0, "scale": 0.0}
    )
    batch = first_batch(run, plain)
    rows = [people.split.ids.index(key) for key in batch.ids]
    pose, betas, translation = (part[rows] for part in people.state)
    camera = torch.cat([2 * 5000 / (224 * translation[:, 2:]), translation[:, :2]], dim=1)
    rotations = axis_angle_to_matrix(pose.unflatten(1, (24, 3)))
    target = Target(pose, betas, betas, torch.ones(len(rows), dtype=torch.bool))
    return run.context, batch, Prediction(rotations, betas, camera), target


def test_a_perfect_prediction_has_no_loss(perfect, train_params, stick_body):
    context, batch, predicted, target = perfect
    context = replace(context, mesh=BodyModel(stick_body))
    terms = _terms(context, predicted, target, batch, train_params.weights)
    assert set(terms) == {"keypoints_2d", "keypoints_3d", "pose", "shape", "camera", "mesh"}
    assert terms["camera"].item() == pytest.approx(torch.exp(-20 * predicted.camera[:, 0]).mean().item())
    for name in set(terms) - {"camera"}:
        assert terms[name].item() < 1e-9, name


def test_terms_equal_their_definition_written_out(perfect, train_params, stick_body):
    """SPIN_FACTS 5.5 with plain loops, for a prediction that is off; every mean has its own denominator."""
    context, batch, predicted, target = perfect
    context = replace(context, mesh=BodyModel(stick_body))
    generator = torch.Generator().manual_seed(0)
    off = Prediction(
        axis_angle_to_matrix(0.3 * torch.randn(4, 24, 3, generator=generator)),
        torch.randn(4, 10, generator=generator),
        predicted.camera + 0.1 * torch.randn(4, 3, generator=generator),
    )
    extreme = target.betas + torch.tensor([[0.0], [0.0], [4.0], [0.0]])
    is_valid = torch.tensor([True, False, True, True])
    target = target._replace(is_valid=is_valid, mesh_betas=extreme)
    annotated_3d = torch.cat([torch.randn(4, 24, 3, generator=generator), torch.ones(4, 24, 1)], dim=2)
    annotated_3d[1, 5:, 3] = 0
    batch = batch._replace(
        annotations=batch.annotations._replace(
            joints_3d=annotated_3d, has_joints_3d=torch.tensor([False, True, False, True])
        )
    )
    weights = train_params.weights.model_copy(update={"mesh": 0.5})
    terms = _terms(context, off, target, batch, weights)
    joints = context.joints.joints(off.rotations, off.betas)
    pixels = project(joints, camera_to_translation(off.camera))
    in_2d = sum(
        float(batch.keypoints[b, j, 2] * ((pixels[b, j, k] - batch.keypoints[b, j, k]) / 112) ** 2)
        for b in range(4)
        for j in range(25, 49)
        for k in range(2)
    )
    wanted = axis_angle_to_matrix(target.pose.unflatten(1, (24, 3)))
    in_pose = sum(float((off.rotations[b] - wanted[b]).square().sum()) for b in (0, 2, 3))
    in_shape = sum(float((off.betas[b] - target.betas[b]).square().sum()) for b in (0, 2, 3))
    in_3d = 0.0
    right_hip, left_hip = COMMON24.index("right_hip"), COMMON24.index("left_hip")
    for b in (1, 3):
        ours, theirs = joints[b, 25:], annotated_3d[b, :, :3]
        ours = ours - 0.5 * (ours[right_hip] + ours[left_hip])
        theirs = theirs - 0.5 * (theirs[right_hip] + theirs[left_hip])
        in_3d += sum(float(annotated_3d[b, j, 3] * ((ours[j] - theirs[j]) ** 2).sum()) for j in range(24))
    body = context.mesh
    ours, theirs = body.vertices(off.rotations, off.betas), body.vertices(target.pose, extreme)
    in_mesh = sum(float((ours[b] - theirs[b]).abs().sum()) for b in (0, 2, 3))
    in_camera = sum(math.exp(-20 * float(off.camera[b, 0])) for b in range(4))
    assert terms["keypoints_2d"].item() == pytest.approx(in_2d / (4 * 49 * 2), rel=1e-4)
    assert terms["keypoints_3d"].item() == pytest.approx(in_3d / (2 * 24 * 3), rel=1e-4)
    assert terms["mesh"].item() == pytest.approx(in_mesh / (3 * 6890 * 3), rel=1e-4)
    assert terms["camera"].item() == pytest.approx(in_camera / 4, rel=1e-4)
    assert terms["pose"].item() == pytest.approx(in_pose / (3 * 24 * 9), rel=1e-5)
    assert terms["shape"].item() == pytest.approx(in_shape / (3 * 10), rel=1e-5)
    in_all = 5 * in_2d / 392 + 5 * in_3d / 144 + in_pose / 648 + 0.001 * in_shape / 30
    total = 60 * (in_all + 0.5 * in_mesh / (3 * 6890 * 3) + in_camera / 4)
    assert weighted_sum(terms, weights).item() == pytest.approx(total, rel=1e-4)


def test_a_term_that_applies_to_nobody_is_zero(perfect, train_params):
    context, batch, predicted, target = perfect
    nobody = target._replace(is_valid=torch.zeros(4, dtype=torch.bool))
    terms = _terms(context, predicted, nobody, batch, train_params.weights)
    assert terms["pose"] == terms["shape"] == terms["keypoints_3d"] == 0
    assert terms["camera"] > 0


def test_the_frames_of_network_and_keypoints_are_one(perfect):
    """The perfect camera in [−1, 1] lands on the pixels that the batch holds."""
    context, batch, predicted, _ = perfect
    joints = context.joints.joints(predicted.rotations, predicted.betas)
    pixels = project(joints, camera_to_translation(predicted.camera))
    assert (pixels - batch.keypoints[..., :2]).abs().max() < 0.05
    assert torch.allclose(denormalize_keypoints(2 * pixels / 224 - 1), pixels, atol=1e-4)


def test_2d_term_counts_annotated_joints_and_keeps_detected_ones_in_the_mean():
    """By hand: one annotated joint off by (0.3, 0.4) at confidence 0.5, one detected joint far off."""
    predicted = torch.zeros(1, 49, 2)
    keypoints = torch.zeros(1, 49, 3)
    keypoints[0, 30] = torch.tensor([0.3, 0.4, 0.5])
    keypoints[0, 3] = torch.tensor([9.0, 9.0, 1.0])
    values = losses.keypoints_2d(predicted, keypoints, openpose_weight=0.0)
    assert values.mean().item() == pytest.approx(0.5 * 0.25 / 98)
    counted = losses.keypoints_2d(predicted, keypoints, openpose_weight=1.0)
    assert counted.mean().item() == pytest.approx((0.5 * 0.25 + 162) / 98, rel=1e-6)


def test_3d_term_sees_joints_from_the_middle_of_the_hips():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(2, 49, 3, generator=generator)
    annotated = torch.cat([predicted[:, 25:], torch.ones(2, 24, 1)], -1)
    moved = annotated + torch.tensor([5.0, -3.0, 2.0, 0.0])
    assert losses.keypoints_3d(predicted, moved).abs().max() < 1e-10
    # A hip that moves by 2 moves the middle by 1: it is off by 1 itself, and so is everybody else.
    hip = COMMON24.index("left_hip")
    annotated[0, hip, 0] += 2.0
    assert losses.keypoints_3d(predicted, annotated)[0, :, 0].tolist() == pytest.approx([1.0] * 24, abs=1e-5)
    annotated[0, :, 3] = 0
    assert not losses.keypoints_3d(predicted, annotated)[0].any()


@pytest.mark.parametrize(("scale", "value"), [(0.0, 1.0), (0.1, 0.135335), (0.9, math.exp(-18))])
def test_camera_term_matches_the_golden_numbers(scale, value):
    """SPIN_FACTS 11.1."""
    camera = torch.tensor([[scale, 3.0, -3.0]])
    assert losses.positive_camera(camera).item() == pytest.approx(value, rel=1e-4)


def test_mean_is_over_chosen_samples_only():
    values = torch.tensor([[1.0, 3.0], [10.0, 20.0], [5.0, 7.0]])
    assert losses.mean_over(values, torch.tensor([True, False, True])).item() == 4.0
    assert losses.mean_over(values[..., None], torch.tensor([False, True, False])).item() == 15.0


def test_mean_over_nobody_is_zero_with_a_zero_gradient():
    values = torch.tensor([[1.0], [2.0]], requires_grad=True)
    mean = losses.mean_over(values, torch.tensor([False, False]))
    mean.backward()
    assert mean.item() == 0
    assert values.grad is not None
    assert not values.grad.any()
