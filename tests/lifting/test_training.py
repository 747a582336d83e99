"""The lifter's training: its people, that it learns, is repeatable, and resumes bit for bit."""

import copy

import numpy as np
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.geometry.camera import project
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.lifting.training import sample_people
from spinloop.params.mirror import Range


def _weights(training):
    return training.network.state_dict()


def _equal(one, other):
    return all(torch.equal(part, other[name]) for name, part in one.items())


def test_the_same_seed_gives_the_same_weights(training, learnt):
    for _ in training.steps():
        pass
    assert _equal(_weights(training), _weights(learnt))


def test_another_seed_gives_others(training):
    inputs = training.batch(0, 0, 4).inputs
    training.params = training.params.model_copy(update={"seed": 4})
    assert not torch.equal(inputs, training.batch(0, 0, 4).inputs)


def test_a_stopped_training_resumes_bit_for_bit(untouched, training, learnt, tmp_path):
    steps = training.steps()
    for _ in range(17):
        next(steps)
    torch.save(training.state_dict(), tmp_path / "state.pt")
    resumed = copy.deepcopy(untouched)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.n_done == 17
    assert len(list(resumed.steps())) == resumed.params.n_steps - 17
    assert _equal(_weights(resumed), _weights(learnt))


def test_training_lowers_the_error_of_held_out_people(training, learnt):
    before, after = training.held_out_errors(), learnt.held_out_errors()
    assert after["mpjpe_mm"] < 0.9 * before["mpjpe_mm"]


def test_held_out_people_are_not_those_to_train_on(training):
    first = training.batch(0, 0, 8).inputs
    assert not torch.equal(first, training.batch(1, 0, 8).inputs)
    assert not torch.equal(first, training.batch(0, 1, 8).inputs)
    assert torch.equal(first, training.batch(0, 0, 8).inputs)


@pytest.fixture(scope="module")
def skeleton(golden) -> JointsOnly:
    return JointsOnly(golden.body)


@pytest.fixture(scope="module")
def people(skeleton, still, lifter_params):
    return sample_people(skeleton, still, lifter_params.people, 300, np.random.default_rng(0))


def test_a_far_camera_is_the_crops_own(skeleton, still, lifter_params):
    far = lifter_params.people.model_copy(update={"distance_m": Range(low=500.0, high=500.0)})
    distant = sample_people(skeleton, still, far, 20, np.random.default_rng(0))
    # The crop's 5000 px camera stands some 50 m away; that little perspective is all that is left.
    error = (project(distant.joints, distant.state.translation) - distant.pixels).norm(dim=-1)
    assert error.max() < 3.0
    assert error.mean() < 0.6


def test_people_fill_the_crop(people):
    extent = (people.pixels.amax(1) - people.pixels.amin(1)).amax(-1)
    torch.testing.assert_close(extent, torch.full_like(extent, 224 / 1.2))


def test_people_stand_upright_in_the_image_and_face_every_direction(people):
    """The body's own up (y) points up in the image (−y) for all but the rolled ones; the facing is even."""
    root = axis_angle_to_matrix(people.state.pose[:, :3])
    up, ahead = root[:, :, 1], root[:, :, 2]
    assert (up[:, 1] < -0.5).float().mean() > 0.9
    assert 0.4 < (ahead[:, 2] < 0).float().mean() < 0.6


def test_limbs_are_those_of_other_people_and_stay_whole(skeleton, still, lifter_params):
    def poses(**changes):
        params = lifter_params.people.model_copy(update={"seated": 0.0, "other_limbs": 0.0} | changes)
        people = sample_people(skeleton, still, params, 50, np.random.default_rng(0))
        return people.state.pose.view(50, 24, 3)

    own, mixed = poses(), poses(other_limbs=1.0)
    leg, spine = [1, 4, 7, 10], [3, 6, 9]
    assert torch.equal(own[:, spine], mixed[:, spine])
    giver = torch.cdist(mixed[:, leg].flatten(1), own[:, leg].flatten(1)).argmin(1)
    assert torch.equal(mixed[:, leg], own[giver][:, leg])
    assert len(giver.unique()) == 50
    assert not torch.equal(giver, torch.arange(50))
    seated = poses(seated=1.0)
    assert (seated[:, [1, 2], 0] < 0).all()  # thighs forwards
    assert (seated[:, [4, 5], 0] >= 0).all()
    assert torch.equal(own[:, spine], seated[:, spine])
