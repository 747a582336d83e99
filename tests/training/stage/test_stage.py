"""The stage `train` on files: what it leaves, what it refuses, how it goes on."""

import csv
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.files import sha256_of, write_json
from spinloop.regression.weights import load_network
from spinloop.resume import Checkpoint
from spinloop.stages import train as stage
from spinloop.tables.fits import FitStore

FITS = "fits/stick_train.h5"
STICK = {"splits": ["stick_train"], "probability": 0.3}


def test_everything_is_left_and_the_last_state(finished, people):
    network, params = load_network(finished / "net.pt")
    assert params.width == 8
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    store = FitStore.open(finished / FITS)
    assert store.ids == tuple(people.split.ids), "people who are left out of training stay in the dictionary"
    assert (store.array("origin") == 2).any()
    assert store.array("origin")[1] == 1
    assert store.array("step").max() <= 4
    with (finished / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["2", "4"]
    state = finished / "state" / "train" / "loop"
    assert torch.load(state / "checkpoint.pt", weights_only=True)["step"] == 4


def test_snapshots_begin_with_the_initial_fits_and_end_with_the_last(finished, world):
    first, last = FitStore.open(world["fits"] / "stick_train.h5"), FitStore.open(finished / FITS)
    with h5py.File(finished / "snapshots/stick_train.h5") as file:
        arrays = {name: np.asarray(file[name]) for name in ("ids", "steps", "pose", "betas")}
    assert [key.decode() for key in arrays["ids"]] == list(first.ids)
    assert arrays["steps"].tolist() == [0, 2, 4]
    assert np.array_equal(arrays["pose"][0], first.array("pose"))
    assert np.array_equal(arrays["pose"][-1], last.array("pose"))
    assert np.array_equal(arrays["betas"][-1], last.array("betas"))
    assert not arrays["pose"][0, 0].any(), "no fit is a body of zeros"


def _bytes(folder: Path) -> dict[str, bytes]:
    made = [path for path in folder.rglob("*") if path.is_file() and "state" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in made}


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


def _kill_at_a_checkpoint(arguments: dict[str, Any]) -> None:
    process = multiprocessing.get_context("fork").Process(target=_run_and_die, args=(arguments,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_stage_run_again_leaves_the_same_bytes(finished, world, tmp_path, outputs):
    _kill_at_a_checkpoint({**world, **outputs(tmp_path)})
    assert _bytes(tmp_path) == {}, "nothing half-made stands under a final name"
    checkpoint = tmp_path / "state" / "train" / "loop" / "checkpoint.pt"
    assert torch.load(checkpoint, weights_only=True)["step"] == 3
    stage.run(setting="loop", **world, **outputs(tmp_path))
    for name, content in _bytes(finished).items():
        assert _bytes(tmp_path)[name] == content, name


def test_static_training_leaves_the_dictionary_as_it_was(world, tmp_path, outputs):
    stage.run(setting="static", **world, **outputs(tmp_path))
    before, after = FitStore.open(world["fits"] / "stick_train.h5"), FitStore.open(tmp_path / FITS)
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


def test_fits_of_other_people_are_refused(world, tmp_path, outputs):
    FitStore(["stick_train/elsewhere.jpg#0"]).save(tmp_path / "other/stick_train.h5")
    message = r"stick_train\.h5: ids: .* is missing; give the fits of the same split"
    with pytest.raises(UserError, match=message):
        stage.run(setting="loop", **{**world, "fits": tmp_path / "other"}, **outputs(tmp_path))


def test_an_unknown_setting_is_refused(world, tmp_path, outputs):
    with pytest.raises(
        UserError, match=r"--setting lop: not in .*params\.yaml: settings; give one of .*loop"
    ):
        stage.run(setting="lop", **world, **outputs(tmp_path))


@pytest.fixture
def killed(world, outputs, tmp_path) -> Path:
    """What is left of a run with the world's parameters that was killed at its checkpoint of step 3."""
    _kill_at_a_checkpoint({**world, **outputs(tmp_path)})
    return tmp_path / "state/train/loop"


def test_a_changed_parameter_is_refused_once_and_then_starts_afresh(
    world, killed, tmp_path, outputs, changed
):
    other = changed(world, tmp_path / "params.yaml", seed=1)
    with pytest.raises(UserError, match=r"train\.seed: 0 → 1; its state is now .*loop\.old-1") as caught:
        stage.run(setting="loop", **other, **outputs(tmp_path))
    assert "\n" not in str(caught.value)
    assert (killed.with_name("loop.old-1") / "checkpoint.pt").is_file()
    stage.run(setting="loop", **other, **outputs(tmp_path))
    (tmp_path / "clean").mkdir()
    stage.run(setting="loop", **other, **outputs(tmp_path / "clean"))
    assert (tmp_path / "net.pt").read_bytes() == (tmp_path / "clean" / "net.pt").read_bytes()


def test_what_does_not_change_the_past_resumes(world, finished, killed, tmp_path, outputs, changed, capfd):
    """Only how often something is written differs; the network and the fits are those of the whole run."""
    rare = changed(world, tmp_path / "params.yaml", checkpoint_every=100, snapshot_every=3, history_every=1)
    stage.run(setting="loop", **rare, **outputs(tmp_path))
    shown = "".join(capfd.readouterr())
    assert "resumes after step 3" in shown
    assert "none after step 3, when train.snapshot_every was another" in shown
    for name in ("net.pt", FITS):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name


def test_more_steps_continue_to_the_bit_what_one_longer_run_does(world, tmp_path, outputs, changed, killed):
    """Of a run that was killed, then finished, then made longer."""
    longer = changed(world, tmp_path / "params.yaml", n_steps=7)
    stage.run(setting="loop", **world, **outputs(tmp_path))
    stage.run(setting="loop", **longer, **outputs(tmp_path))
    stage.run(setting="loop", **longer, **outputs(tmp_path / "whole"))
    ours, whole = _bytes(tmp_path), _bytes(tmp_path / "whole")
    assert {"net.pt", FITS, "history.csv", "snapshots/stick_train.h5"} <= whole.keys()
    for name, content in whole.items():
        assert ours[name] == content, name


def test_more_steps_of_a_cosine_are_refused_with_the_reason(world, tmp_path, outputs, changed):
    cosine = changed(world, tmp_path / "params.yaml", schedule="cosine")
    _kill_at_a_checkpoint({**cosine, **outputs(tmp_path)})
    longer = changed(cosine, tmp_path / "longer.yaml", n_steps=8)
    with pytest.raises(UserError, match=r"train\.n_steps: 4 → 8 \(cosine has planned the learning rate of"):
        stage.run(setting="loop", **longer, **outputs(tmp_path))
    assert (tmp_path / "state/train/loop.old-1/checkpoint.pt").is_file()


def test_fewer_steps_than_are_done_are_refused(world, killed, tmp_path, outputs, changed):
    shorter = changed(world, tmp_path / "params.yaml", n_steps=2)
    with pytest.raises(UserError, match=r"train\.n_steps: 2, but 3 are done; its state is now .*old-1"):
        stage.run(setting="loop", **shorter, **outputs(tmp_path))
    stage.run(setting="loop", **shorter, **outputs(tmp_path))


@pytest.mark.parametrize("content", [[1], None, torch.zeros(2), {"step": 2}], ids=str)
def test_a_damaged_checkpoint_is_told_and_the_next_run_leaves_the_same(
    world, finished, killed, tmp_path, outputs, content
):
    torch.save(content, killed / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt: damaged .*its folder is now .*loop\.damaged-1"):
        stage.run(setting="loop", **world, **outputs(tmp_path))
    stage.run(setting="loop", **world, **outputs(tmp_path))
    assert (tmp_path / "net.pt").read_bytes() == (finished / "net.pt").read_bytes()


def test_two_splits_train_together_and_each_keeps_a_dictionary_of_its_own(two_splits, outputs, tmp_path):
    stage.run(setting="loop", **two_splits, **outputs(tmp_path))
    for split, n in (("stick_train", 12), ("other_train", 7)):
        store = FitStore.open(tmp_path / f"fits/{split}.h5")
        assert len(store) == n
        assert all(key.startswith(split) for key in store.ids)
        assert (store.array("origin") == 2).any(), f"no fit of {split} came from the loop"
        with h5py.File(tmp_path / f"snapshots/{split}.h5") as file:
            assert np.asarray(file["pose"]).shape == (3, n, 72)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"mixture": [STICK]}, "the probabilities sum to 0.3"),
        ({"mixture": [STICK, {"splits": [], "probability": 0.7}]}, r"train\.mixture\.1\.splits"),
        (
            {"mixture": [STICK, {"splits": ["h36m_train"], "probability": 0.7}]},
            r"keypoints/h36m_train\.parquet: no such file; make it, or take h36m_train out of train\.mixture",
        ),
        ({"min_joints": 45}, "nobody has 45 joints"),
        ({"batch_size": 400}, "the longest split has only 11 rows"),
    ],
)
def test_a_bad_mixture_is_refused_before_anything_starts(
    two_splits, outputs, changed, tmp_path, train, message
):
    arguments = changed(two_splits, tmp_path / "params.yaml", **train)
    with pytest.raises(UserError, match=message) as error:
        stage.run(setting="loop", **arguments, **outputs(tmp_path))
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_crops_too_small_for_the_augmentation_are_refused(world, outputs, changed, tmp_path, train_params):
    augmentation = train_params.augmentation.model_dump() | {"scale": 0.3}
    wide = changed(world, tmp_path / "params.yaml", augmentation=augmentation)
    message = (
        r"stick_train\.h5: crops\.margin: 1\.78571 leaves black corners .*; make it 1\.84 or more, and pack"
    )
    with pytest.raises(UserError, match=message):
        stage.run(setting="loop", **wide, **outputs(tmp_path))


def test_crops_that_dvc_does_not_see_are_refused(world, outputs, tmp_path):
    """DVC sees the digests of `list_training`."""
    listed = tmp_path / "training"
    arguments = {**world, **outputs(tmp_path), "listed": listed}
    with pytest.raises(
        UserError, match=r"stick_train\.json: no such file; name stick_train in dvc\.yaml \(vars"
    ):
        stage.run(setting="static", **arguments)
    write_json(listed / "stick_train.json", {"crops": "of before", "annotations": "of no use here"})
    with pytest.raises(
        UserError, match=r"stick_train\.json: crops: not those .* that are there; run `dvc repro`"
    ):
        stage.run(setting="static", **arguments)
    crops = sha256_of(world["crops"] / "stick_train.h5")
    write_json(listed / "stick_train.json", {"crops": crops, "annotations": "of no use here"})
    stage.run(setting="static", **arguments)


def test_files_that_are_not_there_are_refused(world, outputs, changed, tmp_path):
    for name in ("network", "backbone", "mean"):
        initial = {"network": None, "backbone": None, "mean": None, name: str(tmp_path / "absent")}
        arguments = changed(world, tmp_path / "params.yaml", initial=initial)
        with pytest.raises(
            UserError, match=rf"absent: no such file; correct or empty train\.initial\.{name} in params"
        ):
            stage.run(setting="loop", **arguments, **outputs(tmp_path))


def test_3d_without_annotations_is_refused(world, outputs, tmp_path):
    params = YAML(typ="safe").load(world["params"])
    params["settings"]["paired"] = {"loop": True, "use_3d": True}
    YAML(typ="safe").dump(params, tmp_path / "params.yaml")
    with pytest.raises(UserError, match="--annotations: missing, and the setting says use_3d"):
        stage.run(setting="paired", **{**world, "params": tmp_path / "params.yaml"}, **outputs(tmp_path))


def test_a_table_of_another_split_is_refused(two_splits, outputs, tmp_path):
    folder = tmp_path / "keypoints"
    shutil.copytree(two_splits["keypoints"], folder)
    shutil.copy(folder / "other_train.parquet", folder / "stick_train.parquet")
    with pytest.raises(UserError, match=r"stick_train\.parquet: id: 'other_train/.*' is not of stick_train"):
        stage.run(setting="loop", **{**two_splits, "keypoints": folder}, **outputs(tmp_path))


def test_training_goes_on_from_a_network_of_the_same_sizes(world, finished, outputs, changed, tmp_path):
    """From the finished network, at a rate of next to nothing: its weights stay."""
    initial = {"network": str(finished / "net.pt"), "backbone": None, "mean": None}
    slow = changed(world, tmp_path / "params.yaml", learning_rate=1e-12, n_steps=1, initial=initial)
    stage.run(setting="static", **slow, **outputs(tmp_path))
    before, after = (load_network(folder / "net.pt")[0].fc1.weight for folder in (finished, tmp_path))
    assert torch.allclose(before, after, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "network",
            r"not readable as plain weights \(the file is empty\); name a network of `spinloop train`",
        ),
        ("backbone", r"not readable as plain weights \(the file is empty\); fetch torchvision's weights"),
        ("mean", "not a readable npz"),
    ],
)
def test_an_initial_file_that_is_empty_is_refused_by_its_key(
    world, outputs, changed, tmp_path, name, message
):
    (tmp_path / "empty").touch()
    initial = {"network": None, "backbone": None, "mean": None, name: str(tmp_path / "empty")}
    arguments = changed(world, tmp_path / "params.yaml", initial=initial)
    with pytest.raises(UserError, match=rf"^train\.initial\.{name}: .*empty: {message}") as caught:
        stage.run(setting="loop", **arguments, **outputs(tmp_path))
    assert "\n" not in str(caught.value)
