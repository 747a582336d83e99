"""The adaptive anchor in the loop: what it learns, from whom, and that it is not forgotten."""

import pytest
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.training.distributed import Processes
from spinloop.training.loop import train
from spinloop.training.step import FREE_EVERY, Anchor


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
    anchor = Anchor(fitter.params, 100.0, Processes())
    for step in range(1, FREE_EVERY + 1):
        weight = anchor.weight(fitter, start, keypoints, step)
    assert weight is not None
    return weight


def test_good_starts_are_held_and_bad_ones_are_not(adaptive, people, plain):
    """Not by the full hundred: a free fit moves even from a good start, in what the keypoints do not say."""
    near, far = (_learned(adaptive, _off(people.state, angle), plain) for angle in (0.03, 0.3))
    ratio = (near / far)[[1, 2, 4, 5, 16, 17, 18, 19]].median()
    assert ratio > 3


def test_the_variance_is_of_fits_without_anchor(adaptive, people, plain):
    """The free fits of step 1 are those of the rows that it names, worked out here."""
    start = _off(people.state, 0.1)
    anchor = Anchor(adaptive.params, 100.0, Processes())
    weight = anchor.weight(adaptive, start, plain, step=1)
    rows = [row for row in range(12) if row % FREE_EVERY == 1]
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


def test_fits_that_cannot_be_believed_teach_nothing(adaptive, people, plain):
    anchor = Anchor(adaptive.params, 1e-9, Processes())
    weight = anchor.weight(adaptive, _off(people.state, 0.1), plain, step=1)
    assert weight is not None
    assert not weight.any()


def test_without_adaptive_there_is_nothing_to_learn(fitter, people, plain):
    anchor = Anchor(fitter.params, 100.0, Processes())
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
    learned, again = whole.apparatus.anchor.state_dict(), resumed.apparatus.anchor.state_dict()
    assert learned["share"] > 0
    assert all(torch.equal(learned[name], again[name]) for name in learned)
    for name, array in whole.apparatus.store.state_dict().items():
        assert torch.equal(array, resumed.apparatus.store.state_dict()[name]), name
