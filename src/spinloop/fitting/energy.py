"""The objective of a fit, per sample and per term.

Keypoints are (x, y, confidence) in pixels of the 224 px crop. A confidence of 0, or a coordinate that is
not a finite number, leaves the joint out. Joints `joints.FIT_IGNORED` never count: SMPL's hips and neck sit
elsewhere than people annotate them.

Source: SMPLify sec. 3; SPIN's `smplify/losses.py` (reference notes, sec. 4).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinloop.body.joints_only import JointsOnly
from spinloop.body.moments import BodyArrays
from spinloop.body.pose import BodyState
from spinloop.fitting.prior import PosePrior, angle_prior, shape_prior
from spinloop.geometry.camera import project
from spinloop.joints import CAMERA_JOINTS_ANNOTATED, CAMERA_JOINTS_OPENPOSE, FIT_IGNORED, MODEL49
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import StageWeights

FITTED_JOINTS = tuple(joint for joint in range(len(MODEL49)) if joint not in FIT_IGNORED)
"""The 44 of the 49 joints that count."""

# Neither a pixel nor a confidence; squares of such numbers would leave single precision.
_ABSURD = 1e6


class Terms(NamedTuple):
    """The weighted terms of the objective."""

    reprojection: Float[Tensor, "B 49"]
    """px², per joint; zero where a joint does not count."""
    pose: Float[Tensor, " B"]
    angle: Float[Tensor, " B"]
    shape: Float[Tensor, " B"]

    @property
    def total(self) -> Float[Tensor, " B"]:
        """The objective."""
        return self.reprojection.sum(-1) + self.pose + self.angle + self.shape


class BodyEnergy(nn.Module):
    """The objective of body and camera together."""

    def __init__(self, body: BodyArrays, prior: Mixture, sigma_px: float, dtype: torch.dtype) -> None:
        """Prepare a body and a prior.

        Args:
            body: arrays of an SMPL-format body.
            prior: mixture over body poses.
            sigma_px: scale of the robust function.
            dtype: of the energies.
        """
        super().__init__()
        self.skeleton = JointsOnly(body, dtype=dtype)
        self.prior = PosePrior(prior, dtype)
        self.sigma_px = sigma_px

    def reprojection(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49"]:
        """Robust reprojection error of each joint, px²; zero where a joint is left out."""
        joints = self.skeleton.joints(state.pose, state.betas)
        return reprojection(project(joints, state.translation), fitted_only(keypoints), self.sigma_px)

    def terms(
        self,
        state: BodyState,
        keypoints: Float[Tensor, "B 49 3"],
        weights: StageWeights,
        joints: Float[Tensor, "B 49 3"] | None = None,
    ) -> Terms:
        """All terms, weighted.

        Args:
            state: bodies and cameras.
            keypoints: pixels and confidence.
            weights: of the terms.
            joints: the bodies' joints, metres, if they are known already.
        """
        if joints is None:
            joints = self.skeleton.joints(state.pose, state.betas)
        body_pose = state.pose[:, 3:]
        return Terms(
            reprojection=reprojection(
                project(joints, state.translation), fitted_only(keypoints), self.sigma_px
            ),
            pose=weights.pose**2 * self.prior.energy(body_pose),
            angle=weights.angle**2 * angle_prior(body_pose).sum(-1),
            shape=weights.shape**2 * shape_prior(state.betas),
        )


def robust(error: Float[Tensor, "..."], sigma: float) -> Float[Tensor, "..."]:
    """Geman-McClure: error² for small errors, σ² at most."""
    square = error.square()
    return sigma**2 * square / (sigma**2 + square)


def reprojection(
    projected: Float[Tensor, "B J 2"], keypoints: Float[Tensor, "B J 3"], sigma_px: float
) -> Float[Tensor, "B J"]:
    """conf² (ρ(Δu) + ρ(Δv)), px²."""
    return keypoints[..., 2].square() * robust(projected - keypoints[..., :2], sigma_px).sum(-1)


def usable(keypoints: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Keypoints, all zero where a number is not finite or absurd, or the confidence not positive."""
    # NaN is not less than anything.
    known = (keypoints.abs() < _ABSURD).all(-1, keepdim=True) & (keypoints[..., 2:] > 0)
    return torch.where(known, keypoints, 0.0)


def fitted_only(keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49 3"]:
    """Usable keypoints, those that a fit leaves out with confidence zero; the argument is not touched."""
    counted = keypoints.new_zeros(keypoints.shape[1], 1)
    counted[list(FITTED_JOINTS)] = 1
    return torch.where(counted > 0, usable(keypoints), 0.0)


class Torso(NamedTuple):
    """Right hip, left hip, right shoulder, left shoulder: what the camera is found from."""

    joints: Float[Tensor, "B 4 3"]
    """Metres."""
    keypoints: Float[Tensor, "B 4 3"]
    """Pixels; the last number is 1 for a joint that counts, else 0."""


def torso(joints: Float[Tensor, "B 49 3"], keypoints: Float[Tensor, "B 49 3"]) -> Torso:
    """The torso of each sample: OpenPose's joints where all four are seen, else the annotated ones.

    Differs from official: an annotated joint without confidence does not count; the published code uses it at
    whatever place it holds.
    """
    keypoints = usable(keypoints)
    detected, annotated = list(CAMERA_JOINTS_OPENPOSE), list(CAMERA_JOINTS_ANNOTATED)
    whole = (keypoints[:, detected, 2] > 0).all(-1)[:, None, None]
    chosen = torch.where(whole, keypoints[:, detected], keypoints[:, annotated])
    counts = (chosen[..., 2:] > 0).to(chosen.dtype)
    return Torso(
        joints=torch.where(whole, joints[:, detected], joints[:, annotated]),
        keypoints=torch.cat([chosen[..., :2], counts], dim=-1),
    )


def camera_energy(
    seen: Torso, translation: Float[Tensor, "B 3"], depth: Float[Tensor, " B"], depth_weight: float
) -> Float[Tensor, " B"]:
    """Squared pixel error of the torso, neither robust nor weighted, and how far the depth has moved.

    Args:
        seen: the torso.
        translation: metres.
        depth: where the translation's depth started, metres.
        depth_weight: per metre, squared in the energy.
    """
    error = (project(seen.joints, translation) - seen.keypoints[..., :2]).square().sum(-1)
    return (seen.keypoints[..., 2] * error).sum(-1) + depth_weight**2 * (translation[:, 2] - depth).square()
