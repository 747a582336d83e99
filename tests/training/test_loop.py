import json
import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinloop.errors import UserError
from spinloop.training.loop import TrainingRun, learning_rate, snapshot_steps, train


def _finish(run: TrainingRun) -> None:
    for _ in train(run):
        pass


def _assert_equal_runs(run: TrainingRun, other: TrainingRun) -> None:
    for name, tensor in run.context.network.module.state_dict().items():
        assert torch.equal(tensor, other.context.network.module.state_dict()[name]), name
    for name, tensor in run.context.store.state_dict().items():
        assert torch.equal(tensor, other.context.store.state_dict()[name]), name
    folders = (run.checkpoint.folder / "snapshots", other.checkpoint.folder / "snapshots")
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        with np.load(folders[0] / name) as ours, np.load(folders[1] / name) as theirs:
            assert np.array_equal(ours["pose"], theirs["pose"])


def test_four_steps_are_two_and_resume_and_two_bit_for_bit(make_run):
    whole = make_run(state="whole")
    _finish(whole)
    stopped = train(make_run(state="parts"))
    for steps in stopped:
        if steps.stop == 2:
            break
    stopped.close()
    resumed = make_run(state="parts")
    assert list(train(resumed)) == [range(2), range(2, 3), range(3, 4)]
    _assert_equal_runs(whole, resumed)
    assert (whole.context.store.array("origin") == 2).any(), (
        "the loop never improved a fit: nothing was tested"
    )
    assert whole.history.state_dict() == resumed.history.state_dict()


def _train_until_killed(run: TrainingRun) -> None:
    torch.set_num_threads(1)
    for steps in train(run):
        if steps.stop == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_resumes_to_the_same_result(make_run):
    """Checkpoints after steps 2 and 4; the process dies after step 3 with no chance to clean up."""
    params = make_run().context.params.model_copy(update={"checkpoint_every": 2})
    whole = make_run(params=params, state="whole")
    _finish(whole)
    process = multiprocessing.get_context("fork").Process(
        target=_train_until_killed, args=(make_run(params=params, state="killed"),)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumed = make_run(params=params, state="killed")
    assert list(train(resumed)) == [range(2), range(2, 3), range(3, 4)]
    _assert_equal_runs(whole, resumed)


def test_static_fits_stay_and_looped_fits_only_get_better(make_run):
    static, looped = make_run(loop=False, state="a"), make_run(loop=True, state="b")
    before = static.context.store.state_dict()
    _finish(static)
    _finish(looped)
    for name, tensor in static.context.store.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    change = looped.context.store.array("error") - before["error"].numpy()
    # A stored fit is measured again in another view; that is equal up to rounding.
    assert (change <= 1e-3 * before["error"].numpy()).all()


def test_settings_see_the_same_samples_and_start_from_the_same_network(make_run):
    static, looped = make_run(loop=False, state="a"), make_run(loop=True, state="b")
    for name, tensor in static.context.network.module.state_dict().items():
        assert torch.equal(tensor, looped.context.network.module.state_dict()[name])
    rows = [
        [(d.split, d.row, d.rng.random()) for d in run.loader.sampler.samples(1)] for run in (static, looped)
    ]
    assert rows[0] == rows[1]


def test_the_network_learns_the_people(make_run):
    """Thirty steps on twelve people: the 2D error falls to less than half."""
    params = make_run().context.params
    quiet = params.augmentation.model_copy(
        update={"rotation_deg": 0.0, "scale": 0.0, "flip_probability": 0.0}
    )
    params = params.model_copy(
        update={"n_steps": 30, "batch_size": 12, "augmentation": quiet, "history_every": 5}
    )
    run = make_run(params=params)
    _finish(run)
    curve = [row["keypoints_2d"] for row in run.history.state_dict()["rows"]]
    assert curve[-1] < 0.5 * curve[0], f"2D loss went from {curve[0]:.4f} to {curve[-1]:.4f}"


def test_a_loss_that_is_not_finite_stops_with_the_samples_saved(make_run):
    run = make_run()
    with torch.no_grad():
        run.context.network.module.deccam.bias[0] = torch.nan
    with pytest.raises(UserError, match=r"not_finite\.json: the loss of step 1 is not finite"):
        _finish(run)
    saved = json.loads((run.checkpoint.folder / "not_finite.json").read_text())
    assert len(saved["ids"]) == 4
    assert set(saved["ids"]) <= set(run.context.store.ids)
    assert saved["terms"]["camera"] == "nan"


def test_cosine_falls_from_the_full_rate_to_next_to_nothing(train_params):
    params = train_params.model_copy(update={"schedule": "cosine", "n_steps": 100})
    rates = [learning_rate(params, step) for step in range(1, 101)]
    assert rates[0] == params.learning_rate
    assert rates == sorted(rates, reverse=True)
    assert rates[50] == pytest.approx(0.5 * params.learning_rate)
    assert 0 < rates[-1] < 1e-3 * params.learning_rate


def test_snapshots_include_first_and_last_step(train_params):
    params = train_params.model_copy(update={"snapshot_every": 3, "n_steps": 7})
    assert snapshot_steps(params) == [0, 3, 6, 7]


def test_people_without_a_fit_are_supervised_by_their_keypoints_alone(make_run, people):
    run = make_run(loop=False, state="a")
    store = type(run.context.store)(people.split.ids)
    empty = replace(run, context=replace(run.context, store=store))
    _finish(empty)
    for row in empty.history.state_dict()["rows"]:
        assert row["valid"] == row["pose"] == row["shape"] == 0
        assert row["keypoints_2d"] > 0
