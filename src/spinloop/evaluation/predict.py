"""Run a network over a split and keep every prediction, with its errors, in a file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from spinloop.body.model import BodyModel
from spinloop.errors import UserError
from spinloop.evaluation.meshes import batches
from spinloop.evaluation.scores import MaskScores, Scores
from spinloop.files import atomic, require_file
from spinloop.geometry.crop import crop_affine
from spinloop.joints import H36M17
from spinloop.regression.hmr import Hmr
from spinloop.regression.inputs import crop_from_packed, normalize_images

_CURE = "make it with `spinloop evaluate`"


class Predictions(NamedTuple):
    """What a network says of each person of a split."""

    ids: list[str]
    """As in the annotations, in their order."""
    rotations: Float[np.ndarray, "N 24 3 3"]
    """Matrices; the root's is in camera axes."""
    betas: Float[np.ndarray, "N 10"]
    """Shape of the neutral body."""
    camera: Float[np.ndarray, "N 3"]
    """Weak-perspective camera of the 224 px crop."""
    joints: Float[np.ndarray, "N 17 3"]
    """H36M joints of the predicted body; metres, camera axes, not seen from the root."""


@runtime_checkable
class PackedImages(Protocol):
    """What is needed of a file of packed crops."""

    def image(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """A person's stored region (RGB) and the map from the original image's pixels to its pixels."""
        ...


CropSource = Callable[[int], UInt8[np.ndarray, "S S 3"]]


def crop_source(reader: PackedImages, records: pd.DataFrame, size_px: int) -> CropSource:
    """The network's crops of people, cut from their packed images as they are asked for.

    Args:
        reader: packed crops.
        records: the annotated people, row by row those of the reader.
        size_px: side of the network's image.
    """
    boxes = list(zip(records["center"], records["scale"], strict=True))

    def crop(index: int) -> UInt8[np.ndarray, "S S 3"]:
        packed, packed_affine = reader.image(index)
        center, scale = boxes[index]
        affine = crop_affine(np.asarray(center), float(scale), size_px=float(size_px))
        return crop_from_packed(packed, packed_affine, affine, size_px)

    return crop


@torch.no_grad()
def predict(
    network: Hmr, body: BodyModel, ids: Sequence[str], crop: CropSource, batch_size: int
) -> Predictions:
    """The network's estimate of every person.

    Args:
        network: in evaluation mode.
        body: the neutral body.
        ids: one per person.
        crop: gives the network's crop of the person at a position of `ids`, RGB.
        batch_size: people at once; no result depends on it beyond rounding.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    for part in batches(len(ids), batch_size):
        images = np.stack([crop(index) for index in range(part.start, part.stop)])
        estimate = network(normalize_images(images, compat=network.compat))
        joints = body.regress_h36m(body.vertices(estimate.rotations, estimate.betas))
        tensors = (estimate.rotations, estimate.betas, estimate.camera, joints)
        parts.append(tuple(tensor.cpu().numpy() for tensor in tensors))
    return Predictions(list(ids), *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def save_predictions(
    path: Path, predictions: Predictions, scores: Scores | MaskScores | None, attributes: Mapping[str, str]
) -> None:
    """Write predictions and, in the group `errors`, each person's errors.

    Args:
        path: HDF5 file.
        predictions: of every person.
        scores: of the same people; None if nothing was measured.
        attributes: who made it, from what; kept as attributes of the file.
    """
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({**attributes, "joint_names": H36M17})
        file.create_dataset("ids", data=predictions.ids, dtype=h5py.string_dtype())
        for name in Predictions._fields[1:]:
            file.create_dataset(name, data=getattr(predictions, name).astype(np.float32))
        errors = {} if scores is None else scores.arrays
        file.attrs["error_names"] = sorted(errors)
        if scores is not None:
            file.attrs["protocol"] = scores.protocol.name
            file.attrs["part_names"] = list(scores.parts)
        for name, values in errors.items():
            file.create_dataset(f"errors/{name}", data=values.astype(np.float64))


def load_predictions(path: Path) -> Predictions:
    """Read a file of `save_predictions`.

    Raises:
        UserError: the file is absent or is not such a file.
    """
    require_file(path, _CURE)
    try:
        with h5py.File(path) as file:
            ids = [str(name) for name in _dataset(file, "ids").asstr()[:]]
            return Predictions(ids, *(_dataset(file, name)[:] for name in Predictions._fields[1:]))
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: not a file of predictions ({error}); {_CURE}") from None


def load_errors(path: Path) -> dict[str, Float[np.ndarray, "N ..."]]:
    """Each person's errors in a file of `save_predictions`, by metric.

    Raises:
        UserError: the file is absent or is not such a file.
    """
    require_file(path, _CURE)
    try:
        with h5py.File(path) as file:
            names = [str(name) for name in np.asarray(file.attrs["error_names"])]
            return {name: _dataset(file, f"errors/{name}")[:] for name in names}
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: not a file of predictions ({error}); {_CURE}") from None


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise KeyError(f"{name} is not a dataset")
    return dataset
