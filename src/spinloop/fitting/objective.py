"""The objective of a fit, stated once for both solvers.

A body of pose θ (radians), shape β (standard deviations) and translation t (metres) is fitted to keypoints
with confidences c_j in pixels of the 224 px crop. The objective, in px², is

    E(θ, β, t) = Σ_j c_j² (ρ(Δu_j) + ρ(Δv_j))     reprojection; Δ = projected joint − keypoint, px
               + w_pose² min_m E_m(θ)             nearest component m of the mixture of body poses
               + w_angle² Σ_k exp(2 s_k θ_k)      elbows and knees; s_k θ_k > 0 bends the wrong way
               + w_shape² ‖β‖²                    shape

    ρ(e)   = e² σ² / (σ² + e²)                    Geman-McClure, σ in px
    E_m(θ) = ½ (θ − μ_m)ᵀ Σ_m⁻¹ (θ − μ_m) − ln w̃_m

The sum is over `FITTED_JOINTS`: SMPL's hips and neck are not where people annotate them. While it is
minimised, two terms tie it to its start; no reported objective contains them:

               + w_depth² (t_z − t_z⁰)²           w_depth per metre
               + Σ_i a_i (θ_i − θ_i⁰)²            anchor; a_i in px² per rad²

Adam differentiates these functions by autograd. `fitting.problems` adds Jacobians for Levenberg-Marquardt.

Source: SMPLify, sec. 3; SPIN's `smplify/losses.py` and `smplify/prior.py`.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import BodyState
from spinloop.geometry.camera import project, usable_keypoints
from spinloop.joints import CAMERA_JOINTS_ANNOTATED, CAMERA_JOINTS_OPENPOSE, FIT_IGNORED, MODEL49
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import StageWeights

FITTED_JOINTS = tuple(joint for joint in range(len(MODEL49)) if joint not in FIT_IGNORED)
"""The 44 of the 49 joints that count."""

N_BODY_POSE = 69
ANGLES = (52, 55, 9, 12)
"""Positions in the 69 numbers of the body pose (without the root): y of the left and right elbow, x of the
left and right knee."""
ANGLE_SIGNS = (1.0, -1.0, -1.0, -1.0)
"""Sign that makes each of `ANGLES` positive where the joint bends the wrong way."""


def fitted_keypoints(keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49 3"]:
    """Usable keypoints, all zero for joints that are not in `FITTED_JOINTS`; the argument is not changed."""
    counted = keypoints.new_zeros(keypoints.shape[1], 1)
    counted[list(FITTED_JOINTS)] = 1
    return torch.where(counted > 0, usable_keypoints(keypoints), 0.0)


def robust(error: Float[Tensor, "..."], sigma: float) -> Float[Tensor, "..."]:
    """Geman-McClure ρ: error² for small errors, σ² at most."""
    square = error.square()
    return sigma**2 * square / (sigma**2 + square)


def robust_share(error: Float[Tensor, "..."], sigma: float) -> Float[Tensor, "..."]:
    """Share s = σ² / (σ² + error²) of a squared error that ρ counts.

    ρ = s error², dρ/d(error) = 2 s² error; s² is the Gauss-Newton weight of the error.
    """
    return sigma**2 / (sigma**2 + error.square())


def reprojection(
    projected: Float[Tensor, "B J 2"], keypoints: Float[Tensor, "B J 3"], sigma_px: float
) -> Float[Tensor, "B J"]:
    """conf² (ρ(Δu) + ρ(Δv)) of each joint, px²."""
    return keypoints[..., 2].square() * robust(projected - keypoints[..., :2], sigma_px).sum(-1)


def summed_reprojection(
    errors: Float[Tensor, "B N M"], shares: Float[Tensor, "B N M"], weight: Float[Tensor, "B ..."]
) -> Float[Tensor, " B"]:
    """`reprojection` summed over joints, px², from what a Jacobian needs anyway.

    Args:
        errors: Δu and Δv, pixels; the axes of joints and coordinates may come in either order.
        shares: `robust_share` of the errors.
        weight: squared confidence of the joints.
    """
    return (weight * errors.square() * shares).sum((1, 2))


def angle_prior(body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, "B 4"]:
    """exp(2 s θ) of elbows and knees: grows fast where a joint bends the wrong way.

    Source:
        SMPLify, sec. 3.3.
    """
    return torch.exp(2 * body_pose[:, ANGLES] * body_pose.new_tensor(ANGLE_SIGNS))


def shape_prior(betas: Float[Tensor, "B 10"]) -> Float[Tensor, " B"]:
    """Sum of the squared shape coefficients."""
    return betas.square().sum(-1)


def depth_term(depth: Float[Tensor, " B"], start: Float[Tensor, " B"], weight: float) -> Float[Tensor, " B"]:
    """w² (t_z − t_z⁰)²: pull of the translation's depth (metres) to its start."""
    return weight**2 * (depth - start).square()


def anchor_term(
    pose: Float[Tensor, "B 72"], start: Float[Tensor, "B 72"], weight: Float[Tensor, "B 72"]
) -> Float[Tensor, " B"]:
    """Σ a (θ − θ⁰)²: pull of the pose to its start; weights in px² per rad²."""
    return (weight * (pose - start).square()).sum(-1)


class NearestComponent(NamedTuple):
    """The mixture's component of least energy."""

    energy: Float[Tensor, " B"]
    gradient: Float[Tensor, "B 69"]
    component: Int[Tensor, " B"]


class PosePrior(nn.Module):
    """Energy of a body pose at the nearest component of a Gaussian mixture, as in SMPLify; not weighted."""

    means: Tensor
    precisions: Tensor
    constants: Tensor
    mean: Tensor

    def __init__(self, mixture: Mixture, dtype: torch.dtype = torch.float32) -> None:
        """Invert the covariances, in float64.

        Args:
            mixture: over the 69 numbers of the body pose.
            dtype: of the energies.
        """
        super().__init__()
        covariances = np.asarray(mixture.covars, dtype=np.float64)
        # Determinants of 69-dimensional covariances underflow, their logarithms do not.
        half_log_det = 0.5 * np.linalg.slogdet(covariances)[1]
        constants = 0.5 * N_BODY_POSE * math.log(2 * math.pi) + half_log_det - half_log_det.min()
        constants = constants - np.log(mixture.weights)
        for name, array in (
            ("means", mixture.means),
            ("precisions", np.linalg.inv(covariances)),
            ("constants", constants),
        ):
            self.register_buffer(name, torch.as_tensor(np.asarray(array), dtype=dtype))
        self.register_buffer(
            "mean", torch.as_tensor(np.asarray(mixture.weights) @ np.asarray(mixture.means), dtype=dtype)
        )

    def energies(self, body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, "B M"]:
        """½ (θ − μ)ᵀ Σ⁻¹ (θ − μ) − ln w̃ of each component.

        Source:
            SMPLify's merged mixture prior; w̃ divides by √det Σ relative to the component with the least.
        """
        return self._energies(body_pose)[0]

    def energy(self, body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, " B"]:
        """The least of the components' energies."""
        return self.energies(body_pose).amin(dim=1)

    def nearest(self, body_pose: Float[Tensor, "B 69"]) -> NearestComponent:
        """The component of least energy; its curvature is `precisions[component]`."""
        energies, gradients = self._energies(body_pose)
        energy, component = energies.min(dim=1)
        return NearestComponent(
            energy, gradients[component, torch.arange(len(energy), device=energy.device)], component
        )

    def _energies(
        self, body_pose: Float[Tensor, "B 69"]
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "M B 69"]]:
        """Energies of all components and their gradients."""
        offset = body_pose - self.means[:, None]
        gradients = offset @ self.precisions
        return (0.5 * (offset * gradients).sum(-1) + self.constants[:, None]).T, gradients


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


class Objective(nn.Module):
    """What the objective needs of a body, a pose prior and the robust function."""

    def __init__(self, body: BodyFile, prior: Mixture, sigma_px: float, dtype: torch.dtype) -> None:
        """Prepare a body and a prior.

        Args:
            body: arrays of an SMPL-format body.
            prior: mixture over body poses.
            sigma_px: scale σ of the robust function.
            dtype: of all numbers.
        """
        super().__init__()
        self.skeleton = JointsOnly(body, dtype=dtype)
        self.fitted_skeleton = JointsOnly(body, dtype=dtype, keep=FITTED_JOINTS)
        self.prior = PosePrior(prior, dtype)
        self.sigma_px = sigma_px

    def reprojection(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49"]:
        """Robust reprojection error of each joint, px²; zero where a joint does not count."""
        joints = self.skeleton.joints(state.pose, state.betas)
        return reprojection(project(joints, state.translation), fitted_keypoints(keypoints), self.sigma_px)

    def terms(
        self,
        state: BodyState,
        keypoints: Float[Tensor, "B 49 3"],
        weights: StageWeights,
        joints: Float[Tensor, "B 49 3"] | None = None,
    ) -> Terms:
        """All terms, weighted; differentiable.

        Args:
            state: bodies and cameras.
            keypoints: pixels and confidence.
            weights: of the terms.
            joints: the bodies' joints, metres, if they are known already.
        """
        if joints is None:
            joints = self.skeleton.joints(state.pose, state.betas)
        body_pose, projected = state.pose[:, 3:], project(joints, state.translation)
        return Terms(
            reprojection=reprojection(projected, fitted_keypoints(keypoints), self.sigma_px),
            pose=weights.pose**2 * self.prior.energy(body_pose),
            angle=weights.angle**2 * angle_prior(body_pose).sum(-1),
            shape=weights.shape**2 * shape_prior(state.betas),
        )


class Torso(NamedTuple):
    """Right hip, left hip, right shoulder, left shoulder: what the camera is found from."""

    joints: Float[Tensor, "B 4 3"]
    """Metres."""
    keypoints: Float[Tensor, "B 4 3"]
    """Pixels; the last number is 1 for a joint that counts, else 0."""


def torso(joints: Float[Tensor, "B 49 3"], keypoints: Float[Tensor, "B 49 3"]) -> Torso:
    """The torso of each person: OpenPose's joints where all four are seen, else the annotated ones.

    Differs from official: an annotated joint without confidence does not count; the published code uses it
    wherever it is.
    """
    keypoints = usable_keypoints(keypoints)
    detected, annotated = list(CAMERA_JOINTS_OPENPOSE), list(CAMERA_JOINTS_ANNOTATED)
    is_whole = (keypoints[:, detected, 2] > 0).all(-1)[:, None, None]
    chosen = torch.where(is_whole, keypoints[:, detected], keypoints[:, annotated])
    counts = (chosen[..., 2:] > 0).to(chosen.dtype)
    return Torso(
        joints=torch.where(is_whole, joints[:, detected], joints[:, annotated]),
        keypoints=torch.cat([chosen[..., :2], counts], dim=-1),
    )


def torso_objective(
    seen: Torso, translation: Float[Tensor, "B 3"], start_depth: Float[Tensor, " B"], depth_weight: float
) -> Float[Tensor, " B"]:
    """Objective of the camera stage: squared pixel error of the torso, not robust, and the depth term.

    Args:
        seen: the torso.
        translation: metres.
        start_depth: where the translation's depth started, metres.
        depth_weight: per metre; squared in the objective.
    """
    error = (project(seen.joints, translation) - seen.keypoints[..., :2]).square().sum(-1)
    reprojected = (seen.keypoints[..., 2] * error).sum(-1)
    return reprojected + depth_term(translation[:, 2], start_depth, depth_weight)
