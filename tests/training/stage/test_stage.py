"""The stage `train` on files: what it leaves, what it refuses, how it goes on."""

import csv
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.fitting.store import FitStore
from spinloop.regression.weights import load_network
from spinloop.stages import train as stage
from spinloop.training.checkpoint import Checkpoint


def test_everything_is_left_and_the_state_is_gone(finished, people):
    network, params = load_network(finished / "net.pt")
    assert params.width == 8
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    store = FitStore.open(finished / "fits.h5")
    assert store.ids == tuple(people.split.ids), "people who are left out of training stay in the dictionary"
    assert (store.array("origin") == 2).any()
    assert store.array("origin")[1] == 1
    assert store.array("step").max() <= 4
    with (finished / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert not (finished / "state" / "train" / "loop").exists()


def test_snapshots_begin_with_the_initial_fits_and_end_with_the_last(finished, world):
    first, last = FitStore.open(world["fits"][0]), FitStore.open(finished / "fits.h5")
    with h5py.File(finished / "snapshots.h5") as file:
        arrays = {name: np.asarray(file[name]) for name in ("ids", "steps", "pose", "betas")}
    assert [key.decode() for key in arrays["ids"]] == list(first.ids)
    assert arrays["steps"].tolist() == [0, 2, 4]
    assert np.array_equal(arrays["pose"][0], first.array("pose"))
    assert np.array_equal(arrays["pose"][-1], last.array("pose"))
    assert np.array_equal(arrays["betas"][-1], last.array("betas"))
    assert not arrays["pose"][0, 0].any(), "no fit is a body of zeros"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _run_and_die(arguments: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    save, count = Checkpoint.save, [0]

    def save_then_die(self: Checkpoint, state: dict[str, Any]) -> None:
        save(self, state)
        count[0] += 1
        if count[0] == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoint.save = save_then_die
    stage.run(setting="loop", **arguments)


def test_a_killed_stage_run_again_leaves_the_same_bytes(finished, world, tmp_path, outputs):
    process = multiprocessing.get_context("fork").Process(
        target=_run_and_die, args=({**world, **outputs(tmp_path)},)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert _bytes(tmp_path) == {}, "nothing half-made stands under a final name"
    checkpoint = tmp_path / "state" / "train" / "loop" / "checkpoint.pt"
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 3
    stage.run(setting="loop", **world, **outputs(tmp_path))
    for name, content in _bytes(finished).items():
        assert _bytes(tmp_path)[name] == content, name


def test_static_training_leaves_the_dictionary_as_it_was(world, tmp_path, outputs):
    stage.run(setting="static", **world, **outputs(tmp_path))
    before, after = FitStore.open(world["fits"][0]), FitStore.open(tmp_path / "fits.h5")
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


def test_fits_of_other_people_are_refused(world, tmp_path, outputs):
    FitStore(["stick_train/elsewhere.jpg#0"]).save(tmp_path / "other.h5")
    with pytest.raises(UserError, match=r"other\.h5: ids: .* is missing; give the fits of the same split"):
        stage.run(setting="loop", **{**world, "fits": [tmp_path / "other.h5"]}, **outputs(tmp_path))


def test_an_unknown_setting_is_refused(world, tmp_path, outputs):
    with pytest.raises(UserError, match=r"settings\.adaptive: section missing"):
        stage.run(setting="adaptive", **world, **outputs(tmp_path))


def test_lists_of_different_lengths_are_refused(world, tmp_path, outputs):
    with pytest.raises(UserError, match="give each once for every split"):
        stage.run(setting="loop", **{**world, "crops": world["crops"] * 2}, **outputs(tmp_path))


def test_a_changed_parameter_starts_afresh(world, tmp_path, outputs):
    """State of another seed in the way is not used: the result is that of an undisturbed run."""
    process = multiprocessing.get_context("fork").Process(
        target=_run_and_die, args=({**world, **outputs(tmp_path)},)
    )
    process.start()
    process.join()
    assert (tmp_path / "state" / "train" / "loop" / "checkpoint.pt").is_file()
    changed = _with_params(world, tmp_path / "params.yaml", seed=1)
    stage.run(setting="loop", **changed, **outputs(tmp_path))
    (tmp_path / "clean").mkdir()
    stage.run(setting="loop", **changed, **outputs(tmp_path / "clean"))
    assert (tmp_path / "net.pt").read_bytes() == (tmp_path / "clean" / "net.pt").read_bytes()


def _with_params(world: dict[str, Any], path: Path, **train: Any) -> dict[str, Any]:
    """The stage's arguments with some parameters of the section `train` changed."""
    yaml = YAML(typ="safe")
    params = yaml.load(world["params"])
    params["train"].update(train)
    yaml.dump(params, path)
    return {**world, "params": path}


MIXTURE = [
    {"splits": ["stick_train"], "probability": 0.3},
    {"splits": ["other_train"], "probability": 0.7},
]


@pytest.fixture(scope="module")
def two_splits(world, second_split, tmp_path_factory) -> dict[str, Any]:
    both = {name: world[name] + paths for name, paths in second_split.items()}
    return _with_params({**world, **both}, tmp_path_factory.mktemp("two") / "params.yaml", mixture=MIXTURE)


def test_two_splits_train_together_and_each_keeps_a_dictionary_of_its_own(two_splits, outputs, tmp_path):
    places = outputs(tmp_path)
    for name in ("fits_out", "snapshots"):
        places[name] = [tmp_path / split / f"{name}.h5" for split in ("stick_train", "other_train")]
    stage.run(setting="loop", **two_splits, **places)
    for path, split, n in zip(places["fits_out"], ("stick_train", "other_train"), (12, 7), strict=True):
        store = FitStore.open(path)
        assert len(store) == n
        assert all(key.startswith(split) for key in store.ids)
        assert (store.array("origin") == 2).any(), f"no fit of {split} came from the loop"
    for path, n in zip(places["snapshots"], (12, 7), strict=True):
        with h5py.File(path) as file:
            assert np.asarray(file["pose"]).shape == (3, n, 72)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"mixture": [MIXTURE[0]]}, "the probabilities sum to 0.3"),
        (
            {"mixture": [*MIXTURE[:1], {"splits": ["h36m_train"], "probability": 0.7}]},
            "h36m_train is not among the given splits",
        ),
        (
            {"mixture": [{"splits": ["stick_train"], "probability": 1.0}]},
            "other_train is given but not named",
        ),
        ({"min_joints": 45}, "nobody has 45 joints"),
        ({"batch_size": 400}, "the longest split has only 11 rows"),
    ],
)
def test_a_bad_mixture_is_refused_before_anything_starts(two_splits, outputs, tmp_path, train, message):
    places = {**outputs(tmp_path), "fits_out": [tmp_path / "a", tmp_path / "b"]}
    places["snapshots"] = [tmp_path / "c", tmp_path / "d"]
    with pytest.raises(UserError, match=message) as error:
        stage.run(setting="loop", **_with_params(two_splits, tmp_path / "params.yaml", **train), **places)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_split_given_twice_is_refused(world, outputs, tmp_path):
    twice = {name: world[name] * 2 for name in ("keypoints", "crops", "fits")}
    places = {**outputs(tmp_path), "fits_out": [tmp_path / "a"] * 2, "snapshots": [tmp_path / "c"] * 2}
    with pytest.raises(UserError, match="rows of stick_train, which another file has"):
        stage.run(setting="loop", **{**world, **twice}, **places)


def test_training_goes_on_from_a_network_of_the_same_sizes(world, finished, outputs, tmp_path):
    """From the finished network, at a rate of next to nothing: its weights stay."""
    slow = _with_params(world, tmp_path / "params.yaml", learning_rate=1e-12, n_steps=1)
    stage.run(setting="static", **slow, start=finished / "net.pt", **outputs(tmp_path))
    before, after = (load_network(folder / "net.pt")[0].fc1.weight for folder in (finished, tmp_path))
    assert torch.allclose(before, after, atol=1e-9)
