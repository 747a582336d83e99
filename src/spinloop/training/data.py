"""The training data in memory, and the batches made of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from spinloop.body.symmetry import mirror_pose, rotate_pose
from spinloop.fitting.view import View
from spinloop.params.training import AugmentationParams
from spinloop.regression.inputs import crop_from_packed, normalize_images
from spinloop.training.images import (
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
    view: View
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
    view = View(
        rotation_deg=torch.tensor([how.rotation_deg for how in varied]),
        is_mirrored=torch.tensor([how.is_mirrored for how in varied]),
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
    return image, augment_keypoints(split.keypoints[row], to_crop, how.is_mirrored)


def _annotated(
    splits: Mapping[str, Split], draws: Sequence[Draw], varied: Sequence[Augmentation], view: View
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


def _seen_in(view: View, pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 72"]:
    turned = rotate_pose(pose, view.rotation_deg)
    return torch.where(view.is_mirrored[:, None], mirror_pose(turned), turned)
