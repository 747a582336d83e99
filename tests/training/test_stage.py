"""The stage `train` on files: what it leaves, what it refuses, how it goes on."""

import csv
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from spinloop.annotations.merge import KEYPOINTS
from spinloop.annotations.table import save_table
from spinloop.body.files import save_body
from spinloop.errors import UserError
from spinloop.fitting.store import FitStore
from spinloop.motion.mixture import save_mixture
from spinloop.regression.weights import load_network
from spinloop.stages import train as stage
from spinloop.training.checkpoint import Checkpoint

SPLIT = "stick_train"


@pytest.fixture(scope="module")
def world(tmp_path_factory, stick_body, prior, people, fitter, train_params) -> dict[str, Any]:
    """The stage's arguments, with all input files written; person 0 has no fit, person 1 three joints."""
    folder = tmp_path_factory.mktemp("world")
    save_body(folder / "body.npz", stick_body)
    save_mixture(folder / "prior.npz", prior, {})
    split = people.split
    keypoints = split.keypoints.copy()
    keypoints[1, 3:] = 0
    rows = [
        {
            "id": key,
            "center": split.center[i],
            "scale": split.scale[i],
            "keypoints": keypoints[i],
            "provenance": "matched",
        }
        for i, key in enumerate(split.ids)
    ]
    save_table(folder / "keypoints.parquet", KEYPOINTS, rows)
    _write_crops(folder / "crops.h5", split)
    store = FitStore(split.ids)
    fields = store.state_dict()
    fields["pose"] += people.state.pose + 0.1
    fields["translation"] += people.state.translation
    fields["error"][:] = 50.0
    fields["origin"][1:] = 1
    fields["pose"][0] = 0
    fields["error"][0] = torch.inf
    store.load_state_dict(fields)
    store.save(folder / "fits.h5")
    network = {"backbone": "resnet18", "width": 4, "head_width": 16, "image_px": 32}
    params = {
        "network": {**network, "n_iterations": 3, "dropout": 0.5},
        "train": train_params.model_dump(),
        "settings": {"static": {"loop": False, "use_3d": False}, "loop": {"loop": True, "use_3d": False}},
        "fitting": fitter.params.model_dump(),
        "body": {"engine": "spinloop"},
    }
    YAML(typ="safe").dump(params, folder / "params.yaml")
    return {
        "body": folder / "body.npz",
        "prior": folder / "prior.npz",
        "keypoints": [folder / "keypoints.parquet"],
        "crops": [folder / "crops.h5"],
        "fits": [folder / "fits.h5"],
        "params": folder / "params.yaml",
    }


def _write_crops(path: Path, split: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=list(split.ids), dtype=h5py.string_dtype())
        jpeg = file.create_dataset("jpeg", (len(split.ids),), h5py.vlen_dtype(np.uint8))
        affines = []
        for row in range(len(split.ids)):
            image, affine = split.packed(row)
            jpeg[row] = cv2.imencode(".jpg", image)[1].reshape(-1)
            affines.append(affine)
        file.create_dataset("affine", data=np.stack(affines))
        file.attrs.update({"size_px": 112, "margin": 1.0})


def _outputs(folder: Path) -> dict[str, Any]:
    return {
        "out": folder / "net.pt",
        "fits_out": [folder / "fits.h5"],
        "snapshots": [folder / "snapshots.h5"],
        "history": folder / "history.csv",
        "state": folder / "state",
    }


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    stage.run(setting="loop", **world, **_outputs(folder))
    return folder


def test_everything_is_left_and_the_state_is_gone(finished, people):
    network, params = load_network(finished / "net.pt")
    assert params.width == 4
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


def test_a_killed_stage_run_again_leaves_the_same_bytes(finished, world, tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=_run_and_die, args=({**world, **_outputs(tmp_path)},)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert _bytes(tmp_path) == {}, "nothing half-made stands under a final name"
    checkpoint = tmp_path / "state" / "train" / "loop" / "checkpoint.pt"
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 3
    stage.run(setting="loop", **world, **_outputs(tmp_path))
    for name, content in _bytes(finished).items():
        assert _bytes(tmp_path)[name] == content, name


def test_static_training_leaves_the_dictionary_as_it_was(world, tmp_path):
    stage.run(setting="static", **world, **_outputs(tmp_path))
    before, after = FitStore.open(world["fits"][0]), FitStore.open(tmp_path / "fits.h5")
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


def test_fits_of_other_people_are_refused(world, tmp_path):
    FitStore(["stick_train/elsewhere.jpg#0"]).save(tmp_path / "other.h5")
    with pytest.raises(UserError, match=r"other\.h5: ids: .* is missing; give the fits of the same split"):
        stage.run(setting="loop", **{**world, "fits": [tmp_path / "other.h5"]}, **_outputs(tmp_path))


def test_an_unknown_setting_is_refused(world, tmp_path):
    with pytest.raises(UserError, match=r"settings\.adaptive: section missing"):
        stage.run(setting="adaptive", **world, **_outputs(tmp_path))


def test_lists_of_different_lengths_are_refused(world, tmp_path):
    with pytest.raises(UserError, match="give each once for every split"):
        stage.run(setting="loop", **{**world, "crops": world["crops"] * 2}, **_outputs(tmp_path))


def test_a_changed_parameter_starts_afresh(world, tmp_path):
    """State of another seed in the way is not used: the result is that of an undisturbed run."""
    yaml = YAML(typ="safe")
    params = yaml.load(world["params"])
    params["train"]["seed"] = 1
    yaml.dump(params, tmp_path / "params.yaml")
    process = multiprocessing.get_context("fork").Process(
        target=_run_and_die, args=({**world, **_outputs(tmp_path)},)
    )
    process.start()
    process.join()
    assert (tmp_path / "state" / "train" / "loop" / "checkpoint.pt").is_file()
    changed = {**world, "params": tmp_path / "params.yaml"}
    stage.run(setting="loop", **changed, **_outputs(tmp_path))
    (tmp_path / "clean").mkdir()
    stage.run(setting="loop", **changed, **_outputs(tmp_path / "clean"))
    assert (tmp_path / "net.pt").read_bytes() == (tmp_path / "clean" / "net.pt").read_bytes()
