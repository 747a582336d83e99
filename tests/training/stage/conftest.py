"""Files for the stage `train`, and what it leaves of them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from spinloop.body.files import save_body
from spinloop.body.pose import BodyState
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.motion.mixture import save_mixture
from spinloop.stages import train
from spinloop.tables.fits import FitStore
from spinloop.tables.table import save_table
from spinloop.training.data import Split

MIXTURE = [
    {"splits": ["stick_train"], "probability": 0.3},
    {"splits": ["other_train"], "probability": 0.7},
]


@pytest.fixture(scope="session")
def world(tmp_path_factory, stick_body, prior, people, fitter, train_params) -> dict[str, Any]:
    """The stage's arguments, with all input files written; person 0 has no fit, person 1 three joints."""
    folder = tmp_path_factory.mktemp("world")
    save_body(folder / "body.npz", stick_body)
    save_mixture(folder / "prior.npz", prior, {})
    keypoints = people.split.keypoints.copy()
    keypoints[1, 3:] = 0
    network = {"backbone": "resnet18", "width": 8, "head_width": 16, "image_px": 32, "compat": "none"}
    params = {
        "runtime": {"threads": 1},
        "network": {**network, "n_iterations": 3, "dropout": 0.5},
        "train": train_params.model_dump(),
        "settings": {"static": {"loop": False, "use_3d": False}, "loop": {"loop": True, "use_3d": False}},
        "fitting": fitter.params.model_dump(),
        "watch": {"sheet_every": 0, "sheet_people": 2, "tensorboard": False, "dvclive": False},
        "body": {"engine": "spinloop"},
    }
    YAML(typ="safe").dump(params, folder / "params.yaml")
    return {
        "body": folder / "body.npz",
        "prior": folder / "prior.npz",
        **write_split(folder, replace(people.split, keypoints=keypoints), people.state),
        "params": folder / "params.yaml",
    }


def write_split(folder: Path, split: Split, state: BodyState) -> dict[str, Path]:
    """Write a split's keypoints, crops and initial fits (the first person has none); the options' folders."""
    name = split.ids[0].split("/")[0]
    rows = [
        {
            "id": key,
            "center": split.center[i],
            "scale": split.scale[i],
            "keypoints": split.keypoints[i],
            "provenance": "matched",
        }
        for i, key in enumerate(split.ids)
    ]
    folders = {option: folder / option for option in ("keypoints", "crops", "fits")}
    save_table(folders["keypoints"] / f"{name}.parquet", KEYPOINTS, rows)
    _write_crops(folders["crops"] / f"{name}.h5", split)
    store = FitStore(split.ids)
    fields = store.state_dict()
    fields["pose"] += state.pose + 0.1
    fields["translation"] += state.translation
    fields["error"][:] = 50.0
    fields["origin"][1:] = 1
    fields["pose"][0] = 0
    fields["error"][0] = torch.inf
    store.load_state_dict(fields)
    store.save(folders["fits"] / f"{name}.h5")
    return folders


@pytest.fixture(scope="session")
def two_splits(world, people, tmp_path_factory) -> dict[str, Any]:
    """The stage's arguments with a second, smaller split of other people, and a mixture of both."""
    folder = tmp_path_factory.mktemp("two")
    rows = range(5, 12)
    split = replace(
        people.split,
        ids=[people.split.ids[row].replace("stick_train", "other_train") for row in rows],
        **{
            name: getattr(people.split, name)[5:]
            for name in ("keypoints", "center", "scale", "joints_3d", "pose", "betas")
        },
        packed=lambda row: people.split.packed(5 + row),
    )
    folders = write_split(folder, split, BodyState(*(part[5:] for part in people.state)))
    for option, path in folders.items():
        shutil.copytree(world[option], path, dirs_exist_ok=True)
    return _with_params({**world, **folders}, folder / "params.yaml", mixture=MIXTURE)


@pytest.fixture(scope="session")
def changed() -> Callable[..., dict[str, Any]]:
    """Makes the stage's arguments with some parameters of the section `train` changed."""
    return _with_params


def _with_params(arguments: dict[str, Any], path: Path, **train: Any) -> dict[str, Any]:
    yaml = YAML(typ="safe")
    params = yaml.load(arguments["params"])
    params["train"].update(train)
    yaml.dump(params, path)
    return {**arguments, "params": path}


def _write_crops(path: Path, split: Any) -> None:
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=list(split.ids), dtype=h5py.string_dtype())
        images = file.create_dataset("image", (len(split.ids),), h5py.vlen_dtype(np.uint8))
        affines = []
        for row in range(len(split.ids)):
            image, affine = split.packed(row)
            images[row] = cv2.imencode(".jpg", image)[1].reshape(-1)
            affines.append(affine)
        file.create_dataset("affine", data=np.stack(affines))
        file.attrs.update({"size_px": 112, "margin": 200 / 112})


@pytest.fixture(scope="session")
def outputs() -> Callable[[Path], dict[str, Any]]:
    """The stage's outputs, by the folder that they go to."""
    return lambda folder: {
        "out": folder / "net.pt",
        "fits_out": folder / "fits",
        "snapshots": folder / "snapshots",
        "history": folder / "history.csv",
        "state": folder / "state",
        "watch": folder / "watch",
    }


@pytest.fixture(scope="session")
def finished(world, outputs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    train.run(setting="loop", **world, **outputs(folder))
    return folder
