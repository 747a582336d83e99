"""The loss of a step: six terms, each a mean over the samples that it applies to.

Source:
    SPIN's `train/trainer.py`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel
from spinloop.geometry.camera import camera_to_translation, normalize_keypoints, project
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.joints import COMMON24, N_OPENPOSE, index_map
from spinloop.params.training import LossWeights
from spinloop.regression.hmr import Prediction
from spinloop.training.batches import Batch
from spinloop.training.distributed import ProcessGroup

_HIPS = list(index_map(COMMON24, ["right_hip", "left_hip"]))
# The camera term is exp(−20 s): 0.135 at s = 0.1, 1 at 0, and it grows fast for a camera behind the body.
_CAMERA_RATE = 20.0


class Target(NamedTuple):
    """The bodies that the network should predict."""

    pose: Float[Tensor, "B 72"]
    """Axis-angle, radians."""
    betas: Float[Tensor, "B 10"]
    """Target of the shape term."""
    mesh_betas: Float[Tensor, "B 10"]
    """Shape of the target's mesh; not replaced by the mean shape where it is extreme."""
    is_valid: Bool[Tensor, " B"]
    """False where there is neither a good fit nor an annotated body."""


def loss_terms(
    joints: JointsOnly,
    mesh: BodyModel | None,
    predicted: Prediction,
    target: Target,
    batch: Batch,
    weights: LossWeights,
    processes: ProcessGroup,
) -> dict[str, Float[Tensor, ""]]:
    """The unweighted loss terms, each a mean over the samples of the whole batch that it applies to.

    With several processes, each returns its part of every mean; the parts add up to the mean.

    Args:
        joints: the 49 joints of the neutral body.
        mesh: mesh of the neutral body; None leaves out the term `mesh`.
        predicted: the network's estimate.
        target: the bodies that it should predict.
        batch: keypoints and 3D annotations of the same samples.
        weights: only `openpose` is used here.
        processes: the processes that share the batch.
    """
    everyone = torch.ones_like(target.is_valid)
    predicted_joints = joints.joints(predicted.rotations, predicted.betas)
    projected = normalize_keypoints(project(predicted_joints, camera_to_translation(predicted.camera)))
    keypoints = torch.cat([normalize_keypoints(batch.keypoints[..., :2]), batch.keypoints[..., 2:]], dim=-1)
    rotations = axis_angle_to_matrix(target.pose.unflatten(1, (24, 3)))
    values = {
        "keypoints_2d": (keypoints_2d(projected, keypoints, weights.openpose), everyone),
        "keypoints_3d": (
            keypoints_3d(predicted_joints, batch.annotations.joints_3d),
            batch.annotations.has_joints_3d,
        ),
        "pose": (squared(predicted.rotations, rotations), target.is_valid),
        "shape": (squared(predicted.betas, target.betas), target.is_valid),
        "camera": (positive_camera(predicted.camera), everyone),
    }
    if mesh is not None:
        predicted_vertices = mesh.vertices(predicted.rotations, predicted.betas)
        target_vertices = mesh.vertices(target.pose, target.mesh_betas)
        values["mesh"] = ((predicted_vertices - target_vertices).abs(), target.is_valid)
    counts = processes.sum(torch.stack([chosen.sum() for _, chosen in values.values()]))
    return {
        name: mean_over(value, chosen, n_chosen)
        for (name, (value, chosen)), n_chosen in zip(values.items(), counts.float(), strict=True)
    }


def weighted_sum(terms: dict[str, Float[Tensor, ""]], weights: LossWeights) -> Float[Tensor, ""]:
    """The weighted sum of the terms: what training minimizes."""
    return weights.total * torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


def keypoints_2d(
    predicted: Float[Tensor, "B 49 2"], keypoints: Float[Tensor, "B 49 3"], openpose_weight: float
) -> Float[Tensor, "B 49 2"]:
    """Squared distance of projected joints to keypoints, weighted by confidence.

    Args:
        predicted: projected joints, [−1, 1] over the crop.
        keypoints: the same frame, with confidence; detected joints first, then annotated ones.
        openpose_weight: factor of the detected joints. With 0 they still count in the mean's denominator, as
            in the published code, whose loss weights rely on it.
    """
    source = torch.ones(keypoints.shape[1], dtype=keypoints.dtype, device=keypoints.device)
    source[:N_OPENPOSE] = openpose_weight
    weight = keypoints[..., 2] * source
    return weight[..., None] * (predicted - keypoints[..., :2]) ** 2


def keypoints_3d(
    predicted: Float[Tensor, "B 49 3"], annotated: Float[Tensor, "B 24 4"]
) -> Float[Tensor, "B 24 3"]:
    """Squared distance of 3D joints, both relative to the middle of their hips, weighted by confidence.

    Args:
        predicted: `joints.MODEL49`, metres; the last 24 are compared.
        annotated: `joints.COMMON24`, metres and confidence.
    """
    joints, target = predicted[:, N_OPENPOSE:], annotated[..., :3]
    joints = joints - joints[:, _HIPS].mean(1, keepdim=True)
    target = target - target[:, _HIPS].mean(1, keepdim=True)
    return annotated[..., 3:] * (joints - target) ** 2


def squared(predicted: Float[Tensor, " B *N"], target: Float[Tensor, " B *N"]) -> Float[Tensor, " B *N"]:
    """Squared difference of rotation matrices or shape coefficients."""
    return (predicted - target) ** 2


def positive_camera(camera: Float[Tensor, "B 3"]) -> Float[Tensor, " B"]:
    """exp(−20 s) of the weak-perspective scale s: negligible at 0.9, large where s is not positive."""
    return torch.exp(-_CAMERA_RATE * camera[:, 0])


def mean_over(
    values: Float[Tensor, " B *N"], chosen: Bool[Tensor, " B"], n_chosen: Float[Tensor, ""] | None = None
) -> Float[Tensor, ""]:
    """Mean of all values of the chosen samples; 0 if there are none.

    Args:
        values: values of this process's samples.
        chosen: the samples that count.
        n_chosen: number of samples that count in the whole batch, if these are a part of it; the results of
            all parts then add up to the mean.
    """
    per_sample = values.reshape(len(values), -1)
    total = torch.where(chosen[:, None], per_sample, 0.0).sum()
    n = chosen.sum() if n_chosen is None else n_chosen
    return total / (n * per_sample.shape[1]).clamp(min=1)
