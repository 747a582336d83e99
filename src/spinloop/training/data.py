"""The training data in memory, and the batches made of it.

Reading one training split: keypoints, packed crops and, where they exist, annotations in 3D.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from spinloop.body.pose import CropView, flip_pose, rotate_pose
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.fitting.objective import FITTED_JOINTS
from spinloop.keypoints.merge import load_keypoints
from spinloop.params.training import AugmentationParams
from spinloop.regression.hmr import crop_from_packed, normalize_images
from spinloop.tables.crops import CropReader
from spinloop.tables.records import column_array, load_records
from spinloop.training.augmentation import (
    Augmentation,
    augment_joints_3d,
    augment_keypoints,
    augmented_affine,
    draw_augmentation,
    official_keypoints,
)
from spinloop.training.mixture import Draw

PackedCrop = tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]


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
    """Metres from the root, camera axes, and confidence; NaN where a person has none."""
    pose: Float[np.ndarray, "N 72"]
    """Annotated pose, radians; NaN where a person has none."""
    betas: Float[np.ndarray, "N 10"]
    """Annotated shape of the neutral body; NaN where a person has none."""
    packed: Callable[[int], PackedCrop]
    """Stored image region of a row (RGB) and the map from the original image's pixels to its own."""


class Annotated(NamedTuple):
    """What is known of a batch in 3D, as its crops show it; zeros where nothing is known."""

    joints_3d: Float[Tensor, "B 24 4"]
    has_joints_3d: Bool[Tensor, " B"]
    pose: Float[Tensor, "B 72"]
    betas: Float[Tensor, "B 10"]
    has_body: Bool[Tensor, " B"]


@dataclass(frozen=True)
class Look:
    """What the network sees of a person."""

    image_px: int
    """Side of its image."""
    compat: str
    """`official` for the published treatment of pixels and keypoints (`network.compat`)."""


class Batch(NamedTuple):
    """The samples of one step."""

    ids: list[str]
    images: Float[Tensor, "B 3 S S"]
    """Normalized, channels last in memory."""
    keypoints: Float[Tensor, "B 49 3"]
    """Pixels of the 224 px crop, with confidence."""
    view: CropView
    """How the crop differs from the one that the dictionary of fits describes."""
    zoom: Float[Tensor, " B"]
    """Side of the crop's box relative to the dictionary's."""
    annotated: Annotated

    def to(self, device: torch.device) -> "Batch":
        """The same with images and supervision on a device; the view stays where the dictionary is."""
        images, keypoints, zoom = (
            part.to(device, non_blocking=True) for part in (self.images, self.keypoints, self.zoom)
        )
        annotated = Annotated(*(part.to(device, non_blocking=True) for part in self.annotated))
        return self._replace(images=images, keypoints=keypoints, zoom=zoom, annotated=annotated)


def make_batch(
    splits: Mapping[str, Split], draws: Sequence[Draw], params: AugmentationParams, look: Look
) -> Batch:
    """Cut, vary and stack the samples of a step.

    Args:
        splits: all training splits by name.
        draws: which rows; each brings its own generator.
        params: how the images are varied.
        look: what the network sees.
    """
    varied = [draw_augmentation(draw.rng, params) for draw in draws]
    samples = [_cut(splits[draw.split], draw.row, how, look) for draw, how in zip(draws, varied, strict=True)]
    images, keypoints = (np.stack(arrays) for arrays in zip(*samples, strict=True))
    view = CropView(
        rotation_deg=torch.tensor([how.rotation_deg for how in varied]),
        is_flipped=torch.tensor([how.is_flipped for how in varied]),
    )
    return Batch(
        ids=[splits[draw.split].ids[draw.row] for draw in draws],
        images=normalize_images(images, np.stack([how.gains for how in varied]), look.compat),
        keypoints=torch.from_numpy(keypoints),
        view=view,
        zoom=torch.tensor([how.zoom for how in varied]),
        annotated=_annotated(splits, draws, varied, view),
    )


def _cut(
    split: Split, row: int, how: Augmentation, look: Look
) -> tuple[UInt8[np.ndarray, "S S 3"], Float[np.ndarray, "49 3"]]:
    center, scale = split.center[row], float(split.scale[row])
    packed, packed_affine = split.packed(row)
    affine = augmented_affine(center, scale, how, float(look.image_px))
    image = crop_from_packed(packed, packed_affine, affine, look.image_px)
    if look.compat == "official":
        return image, official_keypoints(split.keypoints[row], center, scale, how)
    to_crop = augmented_affine(center, scale, how)
    return image, augment_keypoints(split.keypoints[row], to_crop, how.is_flipped)


def _annotated(
    splits: Mapping[str, Split], draws: Sequence[Draw], varied: Sequence[Augmentation], view: CropView
) -> Annotated:
    rows = [(splits[draw.split], draw.row) for draw in draws]
    joints = np.stack([split.joints_3d[row] for split, row in rows])
    pose, betas = (
        torch.from_numpy(np.stack([getattr(split, name)[row] for split, row in rows]))
        for name in ("pose", "betas")
    )
    has_joints = np.array([np.isfinite(sample).all() for sample in joints])
    has_body = torch.isfinite(pose).all(1) & torch.isfinite(betas).all(1)
    seen = np.zeros_like(joints)
    for index in np.flatnonzero(has_joints).tolist():
        seen[index] = augment_joints_3d(joints[index], varied[index])
    return Annotated(
        joints_3d=torch.from_numpy(seen),
        has_joints_3d=torch.from_numpy(has_joints),
        pose=torch.where(has_body[:, None], _seen_in(view, pose.nan_to_num()), 0.0),
        betas=torch.where(has_body[:, None], betas, 0.0),
        has_body=has_body,
    )


def _seen_in(view: CropView, pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 72"]:
    turned = rotate_pose(pose, view.rotation_deg)
    return torch.where(view.is_flipped[:, None], flip_pose(turned), turned)


_ANNOTATED = {"joints_3d": (24, 4), "pose": (72,), "betas": (10,)}


class SplitFiles(NamedTuple):
    """Files of one training split."""

    keypoints: Path
    """Merged keypoints."""
    crops: Path
    """Packed crops."""
    annotations: Path | None
    """Its record table, for 3D joints and bodies; None leaves them out."""


def load_split(name: str, files: SplitFiles, min_joints: int) -> Split:
    """The people of a split that can be trained on.

    Left out are people without a packed crop (their image could not be read) and those of whom too few joints
    are seen.

    Args:
        name: of the split, as its ids begin.
        files: where it lies.
        min_joints: joints that must be seen, of those that a fit counts.

    Raises:
        UserError: a file is absent, damaged or of another split, or no person is left.
    """
    keypoints, crops, annotations = files
    for path in (keypoints, crops):
        require_file(path, f"make it, or take {name} out of train.mixture")
    reader, frame = CropReader(crops), load_keypoints(keypoints)
    _check_name(name, list(frame["id"]), keypoints)
    frame = pd.DataFrame(frame[frame["id"].isin(list(reader.index_of))])
    if frame.empty:
        raise UserError(f"{crops}: ids: none is in {keypoints}; give the crops of the same split")
    frame = pd.DataFrame(frame[n_fitted(np.stack(list(frame["keypoints"]))) >= min_joints])
    if frame.empty:
        raise UserError(f"{keypoints}: nobody has {min_joints} joints; lower train.min_joints")
    ids = [str(key) for key in frame["id"]]
    rows = [reader.index_of[key] for key in ids]
    return Split(
        ids=ids,
        keypoints=np.stack(list(frame["keypoints"])),
        center=np.stack(list(frame["center"])),
        scale=np.asarray(frame["scale"], np.float64),
        packed=lambda row: reader.image(rows[row]),
        **_annotations(annotations, ids),
    )


def n_fitted(keypoints: Float[np.ndarray, "N 49 3"]) -> Int[np.ndarray, " N"]:
    """Joints with confidence, of those that a fit counts."""
    return (keypoints[:, list(FITTED_JOINTS), 2] > 0).sum(1)


def _check_name(name: str, ids: Sequence[str], path: Path) -> None:
    """Refuse a table without rows, or with rows of another split."""
    if not ids:
        raise UserError(f"{path}: no rows; make the table again")
    stranger = next((key for key in ids if not key.startswith(f"{name}/")), None)
    if stranger is not None:
        raise UserError(f"{path}: id: {stranger!r} is not of {name}; give each split a file of its own name")


def _annotations(path: Path | None, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """3D joints, pose and betas of the ids; NaN where there is nothing."""
    if path is None:
        return {name: np.full((len(ids), *shape), np.nan, np.float32) for name, shape in _ANNOTATED.items()}
    frame = load_records(path).set_index("id")
    absent = next((key for key in ids if key not in frame.index), None)
    if absent is not None:
        raise UserError(f"{path}: id: {absent!r} is missing; give the annotations of the same split")
    frame = frame.reindex(list(ids))
    known = {name: column_array(frame, name) for name in _ANNOTATED}
    # Shapes of a gendered body mean nothing to the neutral one.
    known["betas"][frame["gender"].isin(["female", "male"]).to_numpy()] = np.nan
    return known
