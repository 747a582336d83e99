"""The loss terms, unreduced, and the mean over the samples that a term applies to.

Source:
    SPIN's `train/trainer.py`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.joints import COMMON24, N_OPENPOSE, index_map

_HIPS = list(index_map(COMMON24, ["right_hip", "left_hip"]))
# The camera term is exp(−20 s): 0.135 at s = 0.1, 1 at 0, and it grows fast for a camera behind the body.
_CAMERA_RATE = 20.0


def keypoints_2d(
    predicted: Float[Tensor, "B 49 2"], keypoints: Float[Tensor, "B 49 3"], openpose_weight: float
) -> Float[Tensor, "B 49 2"]:
    """Squared distance of projected joints to keypoints, weighted by confidence.

    Args:
        predicted: projected joints, [−1, 1] over the crop.
        keypoints: the same frame, with confidence; detected joints first, then annotated ones.
        openpose_weight: factor of the detected joints. They stay in a mean's denominator when it is 0, as in
            the published code, whose weights count on it.
    """
    source = torch.ones(keypoints.shape[1], dtype=keypoints.dtype, device=keypoints.device)
    source[:N_OPENPOSE] = openpose_weight
    weight = keypoints[..., 2] * source
    return weight[..., None] * (predicted - keypoints[..., :2]) ** 2


def keypoints_3d(
    predicted: Float[Tensor, "B 49 3"], annotated: Float[Tensor, "B 24 4"]
) -> Float[Tensor, "B 24 3"]:
    """Squared distance of 3D joints, each set seen from the middle of its hips, weighted by confidence.

    Args:
        predicted: `joints.MODEL49`, metres; the last 24 are compared.
        annotated: `joints.COMMON24`, metres and confidence.
    """
    ours, theirs = predicted[:, N_OPENPOSE:], annotated[..., :3]
    ours = ours - ours[:, _HIPS].mean(1, keepdim=True)
    theirs = theirs - theirs[:, _HIPS].mean(1, keepdim=True)
    return annotated[..., 3:] * (ours - theirs) ** 2


def squared(predicted: Float[Tensor, " B *N"], target: Float[Tensor, " B *N"]) -> Float[Tensor, " B *N"]:
    """Squared difference: of rotation matrices, of shape coefficients."""
    return (predicted - target) ** 2


def positive_camera(camera: Float[Tensor, "B 3"]) -> Float[Tensor, " B"]:
    """exp(−20 s) of the weak-perspective scale s: next to nothing at 0.9, large where s is not positive."""
    return torch.exp(-_CAMERA_RATE * camera[:, 0])


def mean_over(
    values: Float[Tensor, " B *N"], chosen: Bool[Tensor, " B"], n_chosen: Float[Tensor, ""] | None = None
) -> Float[Tensor, ""]:
    """Mean of all values of the chosen samples; 0 if there are none.

    Args:
        values: of the samples at hand.
        chosen: which of them count.
        n_chosen: how many count in the whole batch, if these are a part of it: the results of all parts then
            add up to the mean.
    """
    per_sample = values.reshape(len(values), -1)
    total = torch.where(chosen[:, None], per_sample, 0.0).sum()
    n = chosen.sum() if n_chosen is None else n_chosen
    return total / (n * per_sample.shape[1]).clamp(min=1)
