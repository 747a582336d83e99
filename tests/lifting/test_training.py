"""The lifter's training: it learns, it is repeatable, and a stopped one resumes bit for bit."""

import copy

import torch


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
