"""Training splits in memory, and the order in which their people are sampled.

The order is seeded and the same on any machine: it follows from the seed and the step alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.fitting.objective import FITTED_JOINTS
from spinloop.keypoints.merge import load_keypoints
from spinloop.params.training import MixtureGroup, TrainParams
from spinloop.tables.crops import CropReader
from spinloop.tables.records import column_array, load_records
from spinloop.training.augmentation import crops_fault

PackedCrop = tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]

_ANNOTATIONS_3D = {"joints_3d": (24, 4), "pose": (72,), "betas": (10,)}
# Independent random streams of one seed.
_ORDER_STREAM, _SAMPLE_STREAM = 0, 1


@dataclass(frozen=True)
class Split:
    """One training split; arrays have a row per person, in the order of `ids`."""

    ids: Sequence[str]
    keypoints: Float[np.ndarray, "N 49 3"]
    """`joints.MODEL49`: x, y in px of the original image, confidence."""
    center: Float[np.ndarray, "N 2"]
    """Middle of the person's box, px."""
    scale: Float[np.ndarray, " N"]
    """Side of the box / 200 px."""
    joints_3d: Float[np.ndarray, "N 24 4"]
    """Metres from the root, camera axes, and confidence; NaN where not annotated."""
    pose: Float[np.ndarray, "N 72"]
    """Annotated pose, axis-angle in radians; NaN where not annotated."""
    betas: Float[np.ndarray, "N 10"]
    """Annotated shape of the neutral body; NaN where not annotated."""
    packed: Callable[[int], PackedCrop]
    """Reads the packed crop of a row (RGB) and the map from pixels of the original image to its pixels."""


class SplitFiles(NamedTuple):
    """Files of one training split."""

    keypoints: Path
    """Merged keypoints."""
    crops: Path
    """Packed crops."""
    annotations: Path | None
    """Record table with 3D joints and bodies; None: train without them."""


def load_split(name: str, files: SplitFiles, params: TrainParams, image_px: int) -> Split:
    """Read the people of a split.

    People without a packed crop (their image could not be read) or with too few visible joints are left out.

    Args:
        name: name of the split; its ids begin with it.
        files: files of the split.
        params: least number of visible joints, of those that a fit uses; augmentation.
        image_px: side of the network's image.

    Raises:
        UserError: a file is absent, damaged or of another split, the crops are too small for the
            augmentation, or no person is left.
    """
    keypoints, crops, annotations = files
    for path in (keypoints, crops):
        require_file(path, f"make it, or take {name} out of train.mixture")
    reader, frame = CropReader(crops), load_keypoints(keypoints)
    if fault := crops_fault(params.augmentation, image_px, reader.size_px, reader.margin):
        raise UserError(f"{crops}: {fault}, and pack the crops again")
    _check_ids(name, list(frame["id"]), keypoints)
    frame = pd.DataFrame(frame[frame["id"].isin(list(reader.index_of))])
    if frame.empty:
        raise UserError(f"{crops}: ids: none is in {keypoints}; give the crops of the same split")
    frame = pd.DataFrame(
        frame[_count_visible_joints(np.stack(list(frame["keypoints"]))) >= params.min_joints]
    )
    if frame.empty:
        raise UserError(f"{keypoints}: nobody has {params.min_joints} joints; lower train.min_joints")
    ids = [str(key) for key in frame["id"]]
    rows = [reader.index_of[key] for key in ids]
    return Split(
        ids=ids,
        keypoints=np.stack(list(frame["keypoints"])),
        center=np.stack(list(frame["center"])),
        scale=np.asarray(frame["scale"], np.float64),
        packed=lambda row: reader.image(rows[row]),
        **_load_annotations_3d(annotations, ids),
    )


def _count_visible_joints(keypoints: Float[np.ndarray, "N 49 3"]) -> Int[np.ndarray, " N"]:
    """Joints with confidence, of those that a fit uses."""
    return (keypoints[:, list(FITTED_JOINTS), 2] > 0).sum(1)


def _check_ids(name: str, ids: Sequence[str], path: Path) -> None:
    """Refuse a table without rows, or with rows of another split."""
    if not ids:
        raise UserError(f"{path}: no rows; make the table again")
    foreign = next((key for key in ids if not key.startswith(f"{name}/")), None)
    if foreign is not None:
        raise UserError(f"{path}: id: {foreign!r} is not of {name}; give each split a file of its own name")


def _load_annotations_3d(path: Path | None, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """3D joints, pose and betas of the ids; NaN where not annotated."""
    if path is None:
        return {
            name: np.full((len(ids), *shape), np.nan, np.float32) for name, shape in _ANNOTATIONS_3D.items()
        }
    frame = load_records(path).set_index("id")
    absent = next((key for key in ids if key not in frame.index), None)
    if absent is not None:
        raise UserError(f"{path}: id: {absent!r} is missing; give the annotations of the same split")
    frame = frame.reindex(list(ids))
    arrays = {name: column_array(frame, name) for name in _ANNOTATIONS_3D}
    # Shape coefficients of a gendered body do not apply to the neutral one.
    arrays["betas"][frame["gender"].isin(["female", "male"]).to_numpy()] = np.nan
    return arrays


class Sample(NamedTuple):
    """One sample of an epoch."""

    split: str
    row: int
    """Row in the split."""
    rng: np.random.Generator
    """Generator of this sample's augmentation, the same in whichever process it is made."""


def split_shares(groups: Sequence[MixtureGroup], lengths: Mapping[str, int]) -> dict[str, float]:
    """Probability of each split: a group's probability, divided among its splits by their sizes.

    Args:
        groups: section `train.mixture`.
        lengths: rows of each of its splits, at least one.
    """
    shares = {}
    for group in groups:
        rows = sum(lengths[split] for split in group.splits)
        for split in group.splits:
            shares[split] = group.probability * lengths[split] / rows
    return shares


class MixtureSampler:
    """Chooses the samples of every step from a mixture of splits.

    An epoch is as long as the longest split and is shuffled; its last incomplete batch is dropped. Sample
    `index` of an epoch takes its split from its own generator, and row `index` modulo the length of that
    split.

    Args:
        lengths: rows of each split.
        shares: probability of each split.
        batch_size: samples of a step.
        seed: seed of the training.

    Raises:
        UserError: the longest split does not fill a batch.

    Source:
        SPIN's `datasets/mixed_dataset.py`, with one generator per sample and one permutation per epoch.
    """

    def __init__(self, lengths: Mapping[str, int], shares: Mapping[str, float], batch_size: int, seed: int):
        self._names = [name for name in sorted(shares) if shares[name] > 0]
        self._lengths = dict(lengths)
        self._edges = self._cumulative_shares(shares)
        self._length = max(lengths[name] for name in self._names)
        self._batch_size = batch_size
        self._seed = seed
        self._steps_per_epoch = self._length // batch_size
        if self._steps_per_epoch == 0:
            raise UserError(
                f"params.yaml: train.batch_size: {batch_size} samples, but the longest split has only "
                f"{self._length} rows; lower it"
            )

    def samples(self, step: int) -> list[Sample]:
        """The samples of a step, counted from 0."""
        epoch, position = divmod(step, self._steps_per_epoch)
        start = position * self._batch_size
        order = self._order(epoch)[start : start + self._batch_size]
        return [self._sample(epoch, int(index)) for index in order]

    def _order(self, epoch: int) -> Int[np.ndarray, " N"]:
        return np.random.default_rng([self._seed, _ORDER_STREAM, epoch]).permutation(self._length)

    def _sample(self, epoch: int, index: int) -> Sample:
        rng = np.random.default_rng([self._seed, _SAMPLE_STREAM, epoch, index])
        name = self._names[int(np.searchsorted(self._edges, rng.random(), side="right"))]
        return Sample(name, index % self._lengths[name], rng)

    def _cumulative_shares(self, shares: Mapping[str, float]) -> Float[np.ndarray, " S"]:
        edges = np.cumsum([shares[name] for name in self._names])
        # Rounding must not leave a gap at the end.
        edges[-1] = 1.0
        return edges
