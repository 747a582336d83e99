"""Predicted bodies of a split: run a network, keep its predictions with their errors in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.evaluation.truth import batches
from spinloop.files.hdf5 import hdf5_output, open_hdf5
from spinloop.geometry.camera import camera_to_translation, translation_to_camera
from spinloop.geometry.crop import crop_affine, crop_from_packed
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from spinloop.joints import H36M17
from spinloop.regression.hmr import Hmr, normalize_images
from spinloop.tables.crops import CropReader

_KIND, _FIX = "a file of predictions", "make it with `spinloop evaluate`"


class Predictions(NamedTuple):
    """Predicted bodies of some people."""

    ids: list[str]
    """As in the annotations, in their order."""
    rotations: Float[np.ndarray, "N 24 3 3"]
    """Rotation matrices; the root's is in camera axes."""
    betas: Float[np.ndarray, "N 10"]
    """Shape of the neutral body."""
    camera: Float[np.ndarray, "N 3"]
    """Weak-perspective camera of the 224 px crop."""
    joints: Float[np.ndarray, "N 17 3"]
    """H36M joints of the predicted body; metres, camera axes, not relative to the root."""

    def take(self, rows: Int[np.ndarray, " M"]) -> "Predictions":
        """Some of the people."""
        return Predictions([self.ids[row] for row in rows], *(array[rows] for array in self[1:]))

    def to_state(self) -> BodyState:
        """The bodies as axis-angles and translations."""
        rotations, betas, camera = (torch.from_numpy(a) for a in (self.rotations, self.betas, self.camera))
        return BodyState(matrix_to_axis_angle(rotations).flatten(1), betas, camera_to_translation(camera))


@torch.no_grad()
def predictions_of(ids: list[str], state: BodyState, body: BodyModel, batch_size: int) -> Predictions:
    """Bodies in the form of predictions; the inverse of `Predictions.to_state`."""
    rotations = axis_angle_to_matrix(state.pose.unflatten(1, (24, 3)))
    joints = [
        body.regress_h36m(body.vertices(rotations[part], state.betas[part]))
        for part in batches(len(ids), batch_size)
    ]
    tensors = (rotations, state.betas, translation_to_camera(state.translation), torch.cat(joints))
    return Predictions(ids, *(tensor.numpy() for tensor in tensors))


@torch.no_grad()
def predict(
    network: Hmr,
    body: BodyModel,
    crops: CropReader,
    records: pd.DataFrame,
    image_px: int,
    batch_size: int,
) -> Predictions:
    """The network's estimate of every person with a packed crop.

    Args:
        network: in evaluation mode.
        body: the neutral body.
        crops: packed crops of the people.
        records: the same people, row by row, with `center` and `scale`.
        image_px: side of the network's image.
        batch_size: people at once; results do not depend on it beyond rounding.
    """
    boxes = list(zip(records["center"], records["scale"], strict=True))
    parts: list[tuple[np.ndarray, ...]] = []
    for part in batches(len(crops.ids), batch_size):
        rows = range(part.start, part.stop)
        images = np.stack([_network_crop(crops, row, *boxes[row], image_px) for row in rows])
        estimate = network(normalize_images(images, compat=network.compat))
        joints = body.regress_h36m(body.vertices(estimate.rotations, estimate.betas))
        tensors = (estimate.rotations, estimate.betas, estimate.camera, joints)
        parts.append(tuple(tensor.cpu().numpy() for tensor in tensors))
    return Predictions(list(crops.ids), *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _network_crop(
    crops: CropReader, row: int, center: Float[np.ndarray, " 2"], scale: float, image_px: int
) -> UInt8[np.ndarray, "S S 3"]:
    packed, packed_affine = crops.image(row)
    affine = crop_affine(np.asarray(center), float(scale), size_px=float(image_px))
    return crop_from_packed(packed, packed_affine, affine, image_px)


def save_predictions(
    path: Path,
    predictions: Predictions,
    attributes: Mapping[str, str],
    errors: Mapping[str, Float[np.ndarray, "N ..."]],
    error_attributes: Mapping[str, str | list[str]],
) -> None:
    """Write predictions and, in the group `errors`, each person's errors.

    Args:
        path: HDF5 file.
        predictions: of every person.
        attributes: attributes of the file: who made it, from what.
        errors: errors of the same people, by name.
        error_attributes: attributes that describe the errors, see `scores`.
    """
    with hdf5_output(path) as file:
        file.attrs.update({**attributes, "joint_names": H36M17})
        file.create_dataset("ids", data=predictions.ids, dtype=h5py.string_dtype())
        for name in Predictions._fields[1:]:
            file.create_dataset(name, data=getattr(predictions, name).astype(np.float32))
        file.attrs["error_names"] = sorted(errors)
        file.attrs.update(error_attributes)
        for name, values in errors.items():
            file.create_dataset(f"errors/{name}", data=values.astype(np.float64))


class StoredPredictions(NamedTuple):
    """Predictions of a file, and each person's errors by name."""

    predictions: Predictions
    errors: dict[str, Float[np.ndarray, "N ..."]]


def load_predictions(path: Path) -> StoredPredictions:
    """Read a file of `save_predictions`.

    Raises:
        UserError: the file is absent or is not such a file.
    """
    with open_hdf5(path, _KIND, _FIX) as file:
        ids = file.words("ids")
        arrays = {name: file.numbers(name) for name in Predictions._fields[1:]}
        names = [str(name) for name in np.asarray(file.attribute("error_names"))]
        errors = {name: file.numbers(f"errors/{name}") for name in names}
        for name, array in (arrays | errors).items():
            if len(array) != len(ids):
                raise file.fault(f"{name}: {len(array)} rows for {len(ids)} people")
        return StoredPredictions(Predictions(ids, **arrays), errors)


def load_same_people(paths: Sequence[Path]) -> list[StoredPredictions]:
    """Read several files of predictions of the same people in the same order.

    Raises:
        UserError: a file is absent or faulty, or its people differ from the first one's.
    """
    stored: list[StoredPredictions] = []
    for path in paths:
        each = load_predictions(path)
        if stored and each.predictions.ids != stored[0].predictions.ids:
            raise UserError(f"{path}: ids differ from those of {paths[0]}; evaluate both on one split")
        stored.append(each)
    return stored
