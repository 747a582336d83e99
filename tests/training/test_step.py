import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.geometry.camera import camera_to_translation, denormalize_keypoints, project
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.joints import COMMON24
from spinloop.params.training import AugmentationParams
from spinloop.regression.hmr import Prediction
from spinloop.tables.fits import StoredFit
from spinloop.training.data import Annotated, Batch, Look, make_batch
from spinloop.training.loop import Run, stream
from spinloop.training.step import Target, from_fit, prefer_annotated, supervise, take_step, weigh


def _fit(errors: list[float], is_known: list[bool], betas: torch.Tensor) -> StoredFit:
    n = len(errors)
    state = BodyState(torch.full((n, 72), 0.1), betas, torch.tensor([[0.0, 0.0, 50.0]]).repeat(n, 1))
    return StoredFit(state, torch.tensor(errors), torch.tensor(is_known))


def test_bad_and_absent_fits_teach_nothing(train_params):
    target = from_fit(
        _fit([99.9, 100.0, torch.inf, 1.0], [True, True, True, False], torch.zeros(4, 10)), train_params
    )
    assert target.is_valid.tolist() == [True, False, False, False]


def test_an_extreme_shape_teaches_the_mean_shape_but_keeps_its_mesh(train_params):
    betas = torch.zeros(3, 10)
    betas[0, 4], betas[1, 4], betas[2] = 3.01, 3.0, 0.5
    betas[1, 0] = -2.0
    target = from_fit(_fit([1.0] * 3, [True] * 3, betas), train_params)
    assert not target.betas[0].any()
    assert torch.equal(target.betas[1:], betas[1:])
    assert torch.equal(target.mesh_betas, betas)
    assert torch.equal(target.pose, torch.full((3, 72), 0.1))


def test_annotated_bodies_take_the_place_of_fits_unfiltered(train_params):
    target = from_fit(_fit([1.0, 500.0], [True, True], torch.ones(2, 10)), train_params)
    annotated = Annotated(
        joints_3d=torch.zeros(2, 24, 4),
        has_joints_3d=torch.zeros(2, dtype=torch.bool),
        pose=torch.full((2, 72), 0.7),
        betas=torch.full((2, 10), 5.0),
        has_body=torch.tensor([False, True]),
    )
    best = prefer_annotated(target, annotated)
    assert best.is_valid.tolist() == [True, True]
    assert best.pose[:, 0].tolist() == pytest.approx([0.1, 0.7])
    assert best.betas[:, 0].tolist() == best.mesh_betas[:, 0].tolist() == [1.0, 5.0]


def first_batch(run: Run, augmentation: AugmentationParams) -> Batch:
    batches = run.batches
    return make_batch(batches.splits, batches.samples.step(0), augmentation, Look(32, "none"))


@pytest.fixture
def told(make_run, people, train_params):
    """A batch, a prediction that is exactly right about it, and what it should have said."""
    run = make_run()
    quiet = train_params.augmentation.model_copy(
        update={"flip_probability": 0.0, "rotation_deg": 0.0, "scale": 0.0}
    )
    batch = first_batch(run, quiet)
    rows = [people.split.ids.index(key) for key in batch.ids]
    pose, betas, translation = (part[rows] for part in people.state)
    camera = torch.cat([2 * 5000 / (224 * translation[:, 2:]), translation[:, :2]], dim=1)
    rotations = axis_angle_to_matrix(pose.unflatten(1, (24, 3)))
    target = Target(pose, betas, betas, torch.ones(len(rows), dtype=torch.bool))
    return run.apparatus, batch, Prediction(rotations, betas, camera), target


def test_a_perfect_prediction_has_no_loss(told, train_params, stick_body):
    apparatus, batch, predicted, target = told
    apparatus = replace(apparatus, mesh=BodyModel(stick_body))
    terms = supervise(apparatus, predicted, target, batch, train_params.weights)
    assert set(terms) == {"keypoints_2d", "keypoints_3d", "pose", "shape", "camera", "mesh"}
    assert terms["camera"].item() == pytest.approx(torch.exp(-20 * predicted.camera[:, 0]).mean().item())
    for name in set(terms) - {"camera"}:
        assert terms[name].item() < 1e-9, name


def test_terms_equal_their_definition_written_out(told, train_params, stick_body):
    """SPIN_FACTS 5.5 with plain loops, for a prediction that is off; every mean has its own denominator."""
    apparatus, batch, predicted, target = told
    apparatus = replace(apparatus, mesh=BodyModel(stick_body))
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
        annotated=batch.annotated._replace(
            joints_3d=annotated_3d, has_joints_3d=torch.tensor([False, True, False, True])
        )
    )
    weights = train_params.weights.model_copy(update={"mesh": 0.5})
    terms = supervise(apparatus, off, target, batch, weights)
    joints = apparatus.joints.joints(off.rotations, off.betas)
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
    body = apparatus.mesh
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
    assert weigh(terms, weights).item() == pytest.approx(total, rel=1e-4)


def test_a_term_that_applies_to_nobody_is_zero(told, train_params):
    apparatus, batch, predicted, target = told
    nobody = target._replace(is_valid=torch.zeros(4, dtype=torch.bool))
    terms = supervise(apparatus, predicted, nobody, batch, train_params.weights)
    assert terms["pose"] == terms["shape"] == terms["keypoints_3d"] == 0
    assert terms["camera"] > 0


def test_the_shape_rule_comes_before_the_annotated_body(train_params):
    """An annotated shape beyond the range is taught as it is; a fit's is not."""
    target = from_fit(_fit([1.0, 1.0], [True, True], torch.full((2, 10), 3.5)), train_params)
    annotated = Annotated(
        joints_3d=torch.zeros(2, 24, 4),
        has_joints_3d=torch.zeros(2, dtype=torch.bool),
        pose=torch.zeros(2, 72),
        betas=torch.full((2, 10), -4.0),
        has_body=torch.tensor([True, False]),
    )
    best = prefer_annotated(target, annotated)
    assert best.betas[:, 0].tolist() == [-4.0, 0.0]
    assert best.mesh_betas[:, 0].tolist() == [-4.0, 3.5]


def test_the_frames_of_network_and_keypoints_are_one(told):
    """The perfect camera in [−1, 1] lands on the pixels that the batch holds."""
    apparatus, batch, predicted, _ = told
    joints = apparatus.joints.joints(predicted.rotations, predicted.betas)
    pixels = project(joints, camera_to_translation(predicted.camera))
    assert (pixels - batch.keypoints[..., :2]).abs().max() < 0.05
    assert torch.allclose(denormalize_keypoints(2 * pixels / 224 - 1), pixels, atol=1e-4)


def test_a_step_replaces_bad_fits_and_leaves_its_arguments_alone(make_run, people, train_params):
    """Stored fits spoilt by hand are replaced by what the step finds; a static step changes nothing."""
    for loop in (True, False):
        run = make_run(loop=loop)
        store = run.apparatus.store
        spoilt = store.state_dict()
        spoilt["pose"] += 0.4 * torch.randn(spoilt["pose"].shape, generator=torch.Generator().manual_seed(0))
        spoilt["error"] += 1000.0
        store.load_state_dict(spoilt)
        batch = first_batch(run, train_params.augmentation)
        copies = [batch.images.clone(), batch.keypoints.clone(), *(part.clone() for part in batch.view)]
        result = take_step(run.apparatus, batch, run.setting, train_params, 1, stream(0, 9))
        for part, copy in zip([batch.images, batch.keypoints, *batch.view], copies, strict=True):
            assert torch.equal(part, copy)
        changed = [key for key in store.ids if store.array("step")[store.ids.index(key)] == 1]
        if loop:
            accepted = [key for key, is_new in zip(batch.ids, result.is_accepted, strict=True) if is_new]
            assert len(accepted) >= 3
            assert sorted(changed) == sorted(accepted)
            plain = torch.from_numpy(people.split.keypoints) / torch.tensor([2.0, 2.0, 1.0])
            plain -= torch.tensor([18.0, 8.0, 0.0])
            placed = run.apparatus.fitter.place(
                BodyState(*(spoilt[name] for name in BodyState._fields)), plain
            )
            before = run.apparatus.fitter.reprojection(placed, plain).mean(1).numpy()
            rows = [store.ids.index(key) for key in accepted]
            assert (store.array("error")[rows] < before[rows]).all()
        else:
            assert changed == []
            assert not result.is_accepted.any()
            assert not result.is_valid.any()
        rest = np.array([key not in batch.ids for key in store.ids])
        assert np.array_equal(store.array("pose")[rest], spoilt["pose"].numpy()[rest])


def test_the_fit_gives_the_network_no_gradient_and_the_losses_do(make_run, train_params):
    run = make_run()
    batch = first_batch(run, train_params.augmentation)
    result = take_step(run.apparatus, batch, run.setting, train_params, 1, stream(0, 9))
    result.total.backward()
    grads = [parameter.grad for parameter in run.apparatus.network.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)
    assert not run.apparatus.store.get(batch.ids, batch.view).state.pose.requires_grad
