"""Batches of augmented crops with their annotations, made ahead of time by any number of processes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spinloop.body.pose import CropView, flip_pose, rotate_pose
from spinloop.errors import UserError
from spinloop.geometry.crop import crop_from_packed
from spinloop.params.training import AugmentationParams, NetworkParams
from spinloop.regression.hmr import normalize_images
from spinloop.training.augmentation import (
    Augmentation,
    augment_joints_3d,
    augment_keypoints,
    augment_keypoints_official,
    augmented_affine,
    sample_augmentation,
)
from spinloop.training.data import MixtureSampler, Sample, Split
from spinloop.training.distributed import ProcessGroup


class Annotations3d(NamedTuple):
    """3D annotations of a batch, in the view of its crops; zeros where there are none."""

    joints_3d: Float[Tensor, "B 24 4"]
    """Metres from the root, and confidence."""
    has_joints_3d: Bool[Tensor, " B"]
    pose: Float[Tensor, "B 72"]
    """Axis-angle, radians."""
    betas: Float[Tensor, "B 10"]
    has_body: Bool[Tensor, " B"]


class Batch(NamedTuple):
    """The samples of one step."""

    ids: list[str]
    images: Float[Tensor, "B 3 S S"]
    """Normalized, channels last in memory."""
    keypoints: Float[Tensor, "B 49 3"]
    """Pixels of the 224 px crop, and confidence."""
    view: CropView
    """Rotation and flip of the crop relative to the one in which the dictionary keeps its fits."""
    zoom: Float[Tensor, " B"]
    """Side of the crop's box relative to the dictionary's."""
    annotations: Annotations3d

    def to(self, device: torch.device) -> "Batch":
        """Move images and annotations to a device; the view stays in main memory with the dictionary."""
        images, keypoints, zoom = (
            part.to(device, non_blocking=True) for part in (self.images, self.keypoints, self.zoom)
        )
        annotations = Annotations3d(*(part.to(device, non_blocking=True) for part in self.annotations))
        return self._replace(images=images, keypoints=keypoints, zoom=zoom, annotations=annotations)


def make_batch(
    splits: Mapping[str, Split],
    samples: Sequence[Sample],
    augmentation: AugmentationParams,
    network: NetworkParams,
) -> Batch:
    """Crop, augment and stack the samples of a step.

    Args:
        splits: all training splits by name.
        samples: rows of the splits, each with its own generator.
        augmentation: how images are augmented.
        network: its image size, and `compat` for the published treatment of pixels and keypoints.
    """
    augmentations = [sample_augmentation(sample.rng, augmentation) for sample in samples]
    pairs = [
        _crop(splits[sample.split], sample.row, each, network)
        for sample, each in zip(samples, augmentations, strict=True)
    ]
    images, keypoints = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    view = CropView(
        rotation_deg=torch.tensor([each.rotation_deg for each in augmentations]),
        is_flipped=torch.tensor([each.is_flipped for each in augmentations]),
    )
    return Batch(
        ids=[splits[sample.split].ids[sample.row] for sample in samples],
        images=normalize_images(images, np.stack([each.gains for each in augmentations]), network.compat),
        keypoints=torch.from_numpy(keypoints),
        view=view,
        zoom=torch.tensor([each.zoom for each in augmentations]),
        annotations=_annotations_3d(splits, samples, augmentations, view),
    )


def _crop(
    split: Split, row: int, augmentation: Augmentation, network: NetworkParams
) -> tuple[UInt8[np.ndarray, "S S 3"], Float[np.ndarray, "49 3"]]:
    center, scale = split.center[row], float(split.scale[row])
    packed, packed_affine = split.packed(row)
    affine = augmented_affine(center, scale, augmentation, float(network.image_px))
    image = crop_from_packed(packed, packed_affine, affine, network.image_px)
    if network.compat == "official":
        return image, augment_keypoints_official(split.keypoints[row], center, scale, augmentation)
    to_crop = augmented_affine(center, scale, augmentation)
    return image, augment_keypoints(split.keypoints[row], to_crop, augmentation.is_flipped)


def _annotations_3d(
    splits: Mapping[str, Split],
    samples: Sequence[Sample],
    augmentations: Sequence[Augmentation],
    view: CropView,
) -> Annotations3d:
    rows = [(splits[sample.split], sample.row) for sample in samples]
    joints = np.stack([split.joints_3d[row] for split, row in rows])
    pose, betas = (
        torch.from_numpy(np.stack([getattr(split, name)[row] for split, row in rows]))
        for name in ("pose", "betas")
    )
    has_joints = np.array([np.isfinite(sample).all() for sample in joints])
    has_body = torch.isfinite(pose).all(1) & torch.isfinite(betas).all(1)
    augmented = np.zeros_like(joints)
    for index in np.flatnonzero(has_joints).tolist():
        augmented[index] = augment_joints_3d(joints[index], augmentations[index])
    return Annotations3d(
        joints_3d=torch.from_numpy(augmented),
        has_joints_3d=torch.from_numpy(has_joints),
        pose=torch.where(has_body[:, None], _pose_in_view(pose.nan_to_num(), view), 0.0),
        betas=torch.where(has_body[:, None], betas, 0.0),
        has_body=has_body,
    )


def _pose_in_view(pose: Float[Tensor, "B 72"], view: CropView) -> Float[Tensor, "B 72"]:
    rotated = rotate_pose(pose, view.rotation_deg)
    return torch.where(view.is_flipped[:, None], flip_pose(rotated), rotated)


@dataclass(frozen=True)
class BatchLoader(Dataset[Batch | UserError]):
    """Makes this process's share of the batch of every step."""

    splits: Mapping[str, Split]
    sampler: MixtureSampler
    augmentation: AugmentationParams
    network: NetworkParams
    processes: ProcessGroup

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0; it depends on the seed and the step alone."""
        samples = self.sampler.samples(step)
        share = self.processes.share(len(samples))
        return make_batch(self.splits, samples[share], self.augmentation, self.network)

    def batches(self, steps: range, n_workers: int) -> Iterator[Batch]:
        """The batches of several steps, in order.

        Args:
            steps: counted from 0.
            n_workers: processes that make batches ahead; 0 makes each batch when it is asked for.
        """
        options = {"multiprocessing_context": "fork", "worker_init_fn": _one_thread} if n_workers else {}
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=steps,
            num_workers=n_workers,
            collate_fn=_identity,
            pin_memory=self.processes.device.type == "cuda",
            # Without it the loader would use the global generator.
            generator=torch.Generator(),
            **options,
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch

    def __getitem__(self, step: int) -> Batch | UserError:
        """As `batch`; errors are returned, since PyTorch would wrap one raised in a worker in a traceback."""
        try:
            return self.batch(step)
        except UserError as error:
            return error


def _identity(batch: Any) -> Any:
    return batch


def _one_thread(_worker: int) -> None:
    # OpenCV's threads do not survive a fork, and there are several workers anyway.
    cv2.setNumThreads(0)
