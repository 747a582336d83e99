"""What numbers were made from, by content.

Run a network over a split and keep every prediction, with its errors, in a file.

Two sets of predictions of the same people: who is nearer to the truth, person by person.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped, UInt8

from spinloop.body.model import BodyModel
from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import Interval, mean_interval, total_interval
from spinloop.evaluation.metrics import PixelCounts, mask_metrics
from spinloop.evaluation.protocols import AnyProtocol, MaskProtocol
from spinloop.evaluation.scores import MaskScores, Scores, flat_interval
from spinloop.evaluation.truth import batches
from spinloop.files import atomic, reading, sha256_of
from spinloop.geometry.crop import crop_affine, crop_from_packed
from spinloop.joints import H36M17
from spinloop.regression.hmr import Hmr, normalize_images


def lineage(parameters: Mapping[str, Any], **files: Path) -> dict[str, str]:
    """Kind of input → first 16 digits of its SHA-256.

    Args:
        parameters: values that the numbers depend on.
        files: what the numbers were made from, by kind, e.g. `weights`.
    """
    content = json.dumps(parameters, sort_keys=True, separators=(",", ":")).encode()
    digests = {"parameters": sha256_of(content)}
    return digests | {kind: sha256_of(path) for kind, path in files.items()}


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
    with reading(path, "a file of predictions", _CURE), h5py.File(path) as file:
        ids = [str(name) for name in _dataset(file, "ids").asstr()[:]]
        return Predictions(ids, *(_dataset(file, name)[:] for name in Predictions._fields[1:]))


def load_errors(path: Path) -> dict[str, Float[np.ndarray, "N ..."]]:
    """Each person's errors in a file of `save_predictions`, by metric.

    Raises:
        UserError: the file is absent or is not such a file.
    """
    with reading(path, "a file of predictions", _CURE), h5py.File(path) as file:
        names = [str(name) for name in np.asarray(file.attrs["error_names"])]
        return {name: _dataset(file, f"errors/{name}")[:] for name in names}


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise KeyError(f"{name} is not a dataset")
    return dataset


class Scored(NamedTuple):
    """Predictions of a split and their errors."""

    predictions: Predictions
    errors: dict[str, Float[np.ndarray, "N ..."]]
    """Each person's, by metric, see `predict.save_predictions`."""

    def scores(self, protocol: AnyProtocol, rows: Int[np.ndarray, " M"] | None = None) -> Scores | MaskScores:
        """What was measured, without measuring again.

        Args:
            protocol: by which the errors were made.
            rows: of the people that count; all if not given.
        """
        known = {name: values if rows is None else values[rows] for name, values in self.errors.items()}
        if isinstance(protocol, MaskProtocol):
            return MaskScores(protocol, PixelCounts.from_flat(known["pixel_counts"]))
        joints = (known["joint_mpjpe_mm"], known["joint_pa_mpjpe_mm"])
        return Scores(protocol, {name: known[name] for name in protocol.metrics if name in known}, *joints)


def load_scored(paths: Sequence[Path]) -> list[Scored]:
    """Read files of predictions that speak of the same people in the same order.

    Raises:
        UserError: a file is absent or faulty, or its people are others than the first one's.
    """
    scored = []
    for path in paths:
        predictions, errors = load_predictions(path), load_errors(path)
        if scored and predictions.ids != scored[0].predictions.ids:
            raise UserError(f"{path}: ids differ from those of {paths[0]}; evaluate both on one split")
        scored.append(Scored(predictions, errors))
    return scored


def paired_change(
    first: Scores | MaskScores,
    second: Scores | MaskScores,
    name: str,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> Interval:
    """A metric of the second minus that of the first over the same people, with its interval.

    The same people are drawn on both sides, so that what makes an image hard for both does not blur the
    difference.

    Args:
        first: of one.
        second: of the other, under the same protocol.
        name: of the metric.
        groups: which people are resampled together; images with masks are always drawn one by one.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    if isinstance(first, MaskScores) and isinstance(second, MaskScores):
        sides = [scores.counts.flat() for scores in (first, second)]
        middle = sides[0].shape[1]

        def difference(totals: Float[np.ndarray, "R K"]) -> Float[np.ndarray, " R"]:
            halves = np.split(totals, [middle], axis=1)
            one, other = (mask_metrics(PixelCounts.from_flat(half))[name] for half in halves)
            return other - one

        return total_interval(np.concatenate(sides, axis=1), difference, confidence, n_resamples, rng)
    return mean_interval(second.values[name] - first.values[name], groups, confidence, n_resamples, rng)


def paired_changes(
    first: Scores | MaskScores,
    second: Scores | MaskScores,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, float]:
    """`paired_change` of each metric, as `<metric>`, `<metric>_low`, `<metric>_high`.

    Args:
        first: of one.
        second: of the other, under the same protocol.
        groups: which people are resampled together.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws; each metric sees the same ones.
    """
    found = {}
    for name in first.values:
        change = paired_change(first, second, name, groups, confidence, n_resamples, seed)
        found |= flat_interval(name, change)
    return found
