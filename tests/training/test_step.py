import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.tables.fits import StoredFit
from spinloop.training.batches import Annotations3d
from spinloop.training.distributed import ProcessGroup
from spinloop.training.loop import generator_of, train
from spinloop.training.step import FREE_FIT_EVERY, AnchorWeights, fit_target, prefer_annotated, train_step


def _fit(errors: list[float], is_known: list[bool], betas: torch.Tensor) -> StoredFit:
    n = len(errors)
    state = BodyState(torch.full((n, 72), 0.1), betas, torch.tensor([[0.0, 0.0, 50.0]]).repeat(n, 1))
    return StoredFit(state, torch.tensor(errors), torch.tensor(is_known))


def test_bad_and_absent_fits_are_no_targets(train_params):
    target = fit_target(
        _fit([99.9, 100.0, torch.inf, 1.0], [True, True, True, False], torch.zeros(4, 10)), train_params
    )
    assert target.is_valid.tolist() == [True, False, False, False]


def test_the_target_of_an_extreme_shape_is_the_mean_shape_but_its_own_mesh(train_params):
    betas = torch.zeros(3, 10)
    betas[0, 4], betas[1, 4], betas[2] = 3.01, 3.0, 0.5
    betas[1, 0] = -2.0
    target = fit_target(_fit([1.0] * 3, [True] * 3, betas), train_params)
    assert not target.betas[0].any()
    assert torch.equal(target.betas[1:], betas[1:])
    assert torch.equal(target.mesh_betas, betas)
    assert torch.equal(target.pose, torch.full((3, 72), 0.1))


def test_annotated_bodies_take_the_place_of_fits_unfiltered(train_params):
    target = fit_target(_fit([1.0, 500.0], [True, True], torch.ones(2, 10)), train_params)
    annotated = Annotations3d(
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


def test_the_shape_rule_comes_before_the_annotated_body(train_params):
    """An annotated shape beyond the range is used as it is; a fit's is not."""
    target = fit_target(_fit([1.0, 1.0], [True, True], torch.full((2, 10), 3.5)), train_params)
    annotated = Annotations3d(
        joints_3d=torch.zeros(2, 24, 4),
        has_joints_3d=torch.zeros(2, dtype=torch.bool),
        pose=torch.zeros(2, 72),
        betas=torch.full((2, 10), -4.0),
        has_body=torch.tensor([True, False]),
    )
    best = prefer_annotated(target, annotated)
    assert best.betas[:, 0].tolist() == [-4.0, 0.0]
    assert best.mesh_betas[:, 0].tolist() == [-4.0, 3.5]


def test_a_step_replaces_bad_fits_and_leaves_its_arguments_alone(make_run, first_batch, people, train_params):
    """Stored fits that are made worse are replaced by the step's fits; a static step changes nothing."""
    for loop in (True, False):
        run = make_run(loop=loop)
        store = run.context.store
        worsened = store.state_dict()
        worsened["pose"] += 0.4 * torch.randn(
            worsened["pose"].shape, generator=torch.Generator().manual_seed(0)
        )
        worsened["error"] += 1000.0
        store.load_state_dict(worsened)
        batch = first_batch(run, train_params.augmentation)
        copies = [batch.images.clone(), batch.keypoints.clone(), *(part.clone() for part in batch.view)]
        result = train_step(run.context, batch, 1, generator_of(0, 9))
        for part, copy in zip([batch.images, batch.keypoints, *batch.view], copies, strict=True):
            assert torch.equal(part, copy)
        changed = [key for key in store.ids if store.array("step")[store.ids.index(key)] == 1]
        if loop:
            accepted = [key for key, is_new in zip(batch.ids, result.is_accepted, strict=True) if is_new]
            assert len(accepted) >= 3
            assert sorted(changed) == sorted(accepted)
            plain = torch.from_numpy(people.split.keypoints) / torch.tensor([2.0, 2.0, 1.0])
            plain -= torch.tensor([18.0, 8.0, 0.0])
            placed = run.context.fitter.place(
                BodyState(*(worsened[name] for name in BodyState._fields)), plain
            )
            before = run.context.fitter.reprojection(placed, plain).mean(1).numpy()
            rows = [store.ids.index(key) for key in accepted]
            assert (store.array("error")[rows] < before[rows]).all()
        else:
            assert changed == []
            assert not result.is_accepted.any()
            assert not result.is_valid.any()
        rest = np.array([key not in batch.ids for key in store.ids])
        assert np.array_equal(store.array("pose")[rest], worsened["pose"].numpy()[rest])


def test_the_fit_gives_the_network_no_gradient_and_the_losses_do(make_run, first_batch, train_params):
    run = make_run()
    batch = first_batch(run, train_params.augmentation)
    result = train_step(run.context, batch, 1, generator_of(0, 9))
    result.total.backward()
    grads = [parameter.grad for parameter in run.context.network.module.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)
    assert not run.context.store.get(batch.ids, batch.view).state.pose.requires_grad


@pytest.fixture(scope="session")
def adaptive(stick_body, prior, fitter) -> Fitter:
    return Fitter(stick_body, prior, fitter.params.model_copy(update={"anchor": "adaptive"}))


@pytest.fixture(scope="module")
def plain(people) -> torch.Tensor:
    """Keypoints of the plain crops."""
    keypoints = torch.from_numpy(people.split.keypoints)
    return (keypoints - torch.tensor([36.0, 16.0, 0.0])) / torch.tensor([2.0, 2.0, 1.0])


def _off(state: BodyState, angle: float) -> BodyState:
    noise = torch.randn(state.pose.shape, generator=torch.Generator().manual_seed(0))
    return state._replace(pose=state.pose + angle * noise)


def _learned(fitter: Fitter, start: BodyState, keypoints: torch.Tensor) -> torch.Tensor:
    anchor = AnchorWeights(fitter.params, 100.0, ProcessGroup())
    for step in range(1, FREE_FIT_EVERY + 1):
        weight = anchor.weight(fitter, start, keypoints, step)
    assert weight is not None
    return weight


def test_good_starts_are_anchored_more_than_bad_ones(adaptive, people, plain):
    """Less than a hundred times: a fit without anchor moves even a good start where keypoints say little."""
    near, far = (_learned(adaptive, _off(people.state, angle), plain) for angle in (0.03, 0.3))
    ratio = (near / far)[[1, 2, 4, 5, 16, 17, 18, 19]].median()
    assert ratio > 3


def test_the_variance_is_of_fits_without_anchor(adaptive, people, plain):
    """The free fits of step 1 are those of the rows that it names, worked out here."""
    start = _off(people.state, 0.1)
    anchor = AnchorWeights(adaptive.params, 100.0, ProcessGroup())
    weight = anchor.weight(adaptive, start, plain, step=1)
    rows = [row for row in range(12) if row % FREE_FIT_EVERY == 1]
    free = adaptive.fit(BodyState(*(part[rows] for part in start)), plain[rows], torch.zeros(24))
    elbow = 18
    angles = [
        _angle(start.pose[row].view(24, 3)[elbow], fitted.view(24, 3)[elbow])
        for row, fitted in zip(rows, free.state.pose, strict=True)
    ]
    variance = sum(angle**2 for angle in angles) / len(angles) / 3
    assert weight is not None
    assert weight[elbow].item() == pytest.approx(adaptive.params.anchor_noise_px**2 / variance, rel=1e-3)


def _angle(one: torch.Tensor, other: torch.Tensor) -> float:
    """Angle between two rotations, by quaternions."""
    pair = [Rotation.from_rotvec(vector.double().numpy()) for vector in (one, other)]
    return float((pair[0].inv() * pair[1]).magnitude())


def test_bad_fits_are_not_used(adaptive, people, plain):
    anchor = AnchorWeights(adaptive.params, 1e-9, ProcessGroup())
    weight = anchor.weight(adaptive, _off(people.state, 0.1), plain, step=1)
    assert weight is not None
    assert not weight.any()


def test_without_adaptive_there_is_nothing_to_learn(fitter, people, plain):
    anchor = AnchorWeights(fitter.params, 100.0, ProcessGroup())
    assert anchor.weight(fitter, people.state, plain, 1) is None
    assert anchor.state_dict() == {}


def test_a_resumed_run_keeps_its_anchor_bit_for_bit(make_run, adaptive, train_params):
    params = train_params.model_copy(update={"max_fit_error": 1e4})
    whole = make_run(state="whole", fitter=adaptive, params=params)
    for _ in train(whole):
        pass
    stopped = train(make_run(state="parts", fitter=adaptive, params=params))
    for steps in stopped:
        if steps.stop == 2:
            break
    stopped.close()
    resumed = make_run(state="parts", fitter=adaptive, params=params)
    for _ in train(resumed):
        pass
    learned, again = whole.context.anchor.state_dict(), resumed.context.anchor.state_dict()
    assert learned["share"] > 0
    assert all(torch.equal(learned[name], again[name]) for name in learned)
    for name, array in whole.context.store.state_dict().items():
        assert torch.equal(array, resumed.context.store.state_dict()[name]), name
