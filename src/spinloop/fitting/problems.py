"""The objective with Jacobians: what Levenberg-Marquardt minimises.

Three problems: the whole body, root and translation of a rigid torso, and the translation alone. The terms
are those of `fitting.objective`; here are their derivatives.
"""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinloop.body.joints_only import LinearizedPoints
from spinloop.body.pose import BodyState
from spinloop.fitting.objective import (
    ANGLE_SIGNS,
    ANGLES,
    FITTED_JOINTS,
    Objective,
    Torso,
    anchor_term,
    angle_prior,
    depth_term,
    robust_share,
    shape_prior,
    summed_reprojection,
    torso,
    torso_objective,
)
from spinloop.fitting.solvers import Quadratic
from spinloop.geometry.camera import usable_keypoints
from spinloop.geometry.crop import CENTER_PX, FOCAL_PX
from spinloop.geometry.rotations import axis_angle_to_matrix, rotation_and_left_jacobian
from spinloop.params.fitting import StageWeights

# The unknowns of the body problem: pose, shape, translation.
N_UNKNOWNS = 85
_BETAS, _TRANSLATION = slice(72, 82), slice(82, 85)
_DEPTH = 84
_ANGLES = tuple(3 + angle for angle in ANGLES)
# A body nearer to the camera than this is not seen through a 5000 px lens; it also keeps 1/z finite.
_NEAR_M = 0.1


class Observations(NamedTuple):
    """What a batch of bodies is fitted to, and the start that it is tied to."""

    target: Float[Tensor, "B 2 44"]
    """Keypoints relative to the crop's center, pixels."""
    weight: Float[Tensor, "B 1 44"]
    """Squared confidence."""
    start_depth: Float[Tensor, " B"]
    """Depth of the start's translation, metres."""
    anchor: Float[Tensor, "B 72"]
    """Pose that the anchor pulls to, radians."""
    anchor_weight: Float[Tensor, "B 72"]
    """px² per rad²; 0 does not pull."""


def observe(
    start: BodyState, keypoints: Float[Tensor, "B 49 3"], anchor_weight: Float[Tensor, "B 72"]
) -> Observations:
    """Observations of a batch whose depth and pose are tied to `start`."""
    known = usable_keypoints(keypoints)[:, list(FITTED_JOINTS)]
    return Observations(
        target=(known[..., :2] - CENTER_PX).transpose(1, 2).contiguous(),
        weight=known[..., 2].square()[:, None],
        start_depth=start.translation[:, 2],
        anchor=start.pose,
        anchor_weight=anchor_weight,
    )


class BodyProblem:
    """Reprojection, priors, depth and anchor of a batch; 85 unknowns a person.

    Joints that share a point of the body share its Jacobian: their robust weights are summed per point, which
    leaves 29 points for the 44 joints. Rows are multiplied by the square roots of those weights, and the
    weighted residual is an 86th row, so that one product gives curvature and gradient.
    """

    def __init__(
        self,
        objective: Objective,
        observations: Observations,
        weights: StageWeights,
        depth_weight: float,
        moves_camera: bool = True,
    ) -> None:
        """State a problem.

        Args:
            objective: body, prior and robust function.
            observations: what is fitted to.
            weights: of the priors.
            depth_weight: of the depth term, per metre.
            moves_camera: whether the translation is fitted as well; else it stays at its start.
        """
        self._skeleton, self._prior = objective.fitted_skeleton, objective.prior
        self._sigma_px = objective.sigma_px
        self._observations = observations
        self._weights, self._depth_weight, self._moves_camera = weights, depth_weight, moves_camera
        one_hot = torch.nn.functional.one_hot(self._skeleton.gather, self._skeleton.n_points)
        self._point_of_joint = one_hot.to(self._prior.means.dtype)
        self._table = self._prior_curvatures()

    def rows(self, index: Int[Tensor, " N"]) -> "BodyProblem":
        """The problem of some of the people."""
        some = copy.copy(self)
        some._observations = Observations(*(part[index] for part in self._observations))
        return some

    def objective(self, unknowns: Float[Tensor, "B 85"]) -> Float[Tensor, " B"]:
        """The objective, px²; infinite where a point comes too near to the camera."""
        pose, betas, translation = unknowns[:, :72], unknowns[:, _BETAS], unknowns[:, _TRANSLATION]
        points = self._skeleton.points(pose, betas) + translation[:, :, None]
        errors, shares = self._errors(points)
        priors = self._weights.pose**2 * self._prior.energy(pose[:, 3:]) + self._simple_terms(unknowns)
        reprojected = summed_reprojection(errors, shares, self._observations.weight)
        return _in_front(points[:, 2], priors + reprojected)

    def linearize(self, unknowns: Float[Tensor, "B 85"]) -> Quadratic:
        """The objective with its Gauss-Newton model.

        The Jacobian leaves the derivative of the pose blend shapes out (they move joints by millimetres). The
        objective includes them, so a step is only accepted if it lowers the true objective.
        """
        weights, given = self._weights, self._observations
        pose, betas, translation = unknowns[:, :72], unknowns[:, _BETAS], unknowns[:, _TRANSLATION]
        posed = self._skeleton.linearized(pose, betas)
        points = posed.points + translation[:, :, None]
        errors, shares = self._errors(points)
        nearest = self._prior.nearest(pose[:, 3:])
        rows = self._weighted_rows(posed, points, errors, shares)
        normal = self._table.index_select(0, nearest.component).baddbmm_(rows, rows.mT, alpha=2)

        gradient = normal[:, :-1, -1].clone()
        gradient[:, 3:72] += weights.pose**2 * nearest.gradient
        gradient[:, _BETAS] += 2 * weights.shape**2 * betas
        if self._moves_camera:
            gradient[:, _DEPTH] += 2 * self._depth_weight**2 * (translation[:, 2] - given.start_depth)
        pull = 2 * given.anchor_weight
        gradient[:, :72] += pull * (pose - given.anchor)
        bend = 2 * weights.angle**2 * angle_prior(pose[:, 3:])
        gradient[:, _ANGLES] += bend * bend.new_tensor(ANGLE_SIGNS)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal[:, :72] += pull
        diagonal[:, _ANGLES] += 2 * bend

        reprojected = summed_reprojection(errors, shares, given.weight)
        objective = reprojected + weights.pose**2 * nearest.energy + self._simple_terms(unknowns)
        return Quadratic(_in_front(points[:, 2], objective), gradient, normal[:, :-1, :-1])

    def _prior_curvatures(self) -> Float[Tensor, "M 86 86"]:
        """Curvature of the quadratic terms for each component of the mixture."""
        precisions = self._prior.precisions
        table = precisions.new_zeros(len(precisions), N_UNKNOWNS + 1, N_UNKNOWNS + 1)
        table[:, 3:72, 3:72] = self._weights.pose**2 * precisions
        diagonal = table.diagonal(dim1=1, dim2=2)
        diagonal[:, _BETAS] = 2 * self._weights.shape**2
        diagonal[:, _DEPTH] = 2 * self._depth_weight**2
        if not self._moves_camera:
            diagonal[:, _TRANSLATION] = 1
        return table

    def _errors(
        self, points: Float[Tensor, "B 3 P"]
    ) -> tuple[Float[Tensor, "B 2 44"], Float[Tensor, "B 2 44"]]:
        """Pixel errors and their robust shares."""
        projected = FOCAL_PX * points[:, :2] / points[:, 2:].clamp(min=_NEAR_M)
        errors = projected[:, :, self._skeleton.gather] - self._observations.target
        return errors, robust_share(errors, self._sigma_px)

    def _simple_terms(self, unknowns: Float[Tensor, "B 85"]) -> Float[Tensor, " B"]:
        """The terms that need neither the body nor the mixture."""
        pose, given = unknowns[:, :72], self._observations
        terms = self._weights.angle**2 * angle_prior(pose[:, 3:]).sum(-1)
        terms = terms + self._weights.shape**2 * shape_prior(unknowns[:, _BETAS])
        terms = terms + depth_term(unknowns[:, _DEPTH], given.start_depth, self._depth_weight)
        return terms + anchor_term(pose, given.anchor, given.anchor_weight)

    def _weighted_rows(
        self,
        posed: LinearizedPoints,
        points: Float[Tensor, "B 3 P"],
        errors: Float[Tensor, "B 2 44"],
        shares: Float[Tensor, "B 2 44"],
    ) -> Float[Tensor, "B 86 R"]:
        """Weighted Jacobian, one row per unknown, and the weighted residual; R = 2 columns per point."""
        weight = self._observations.weight * shares.square()
        mass = weight @ self._point_of_joint
        residual = (weight * errors) @ self._point_of_joint * mass.clamp(min=1e-12).rsqrt()
        depth = points[:, 2:].clamp(min=_NEAR_M)
        slope = points[:, :2] / depth
        scale = FOCAL_PX / depth * mass.sqrt()  # (B, 2, P)

        # A rotation ω moves a point by ω × lever, and its image along (1, 0, −x/z) and (0, 1, −y/z).
        (x, y, z), (u, v) = posed.levers.unbind(2), slope[:, None].unbind(2)
        moments = torch.stack([-u * y, -v * y - z, z + u * x, v * x, -y, x], dim=2).unflatten(2, (3, 2))
        by_pose = posed.left_jacobian.mT @ (moments * scale[:, None, None]).flatten(3)
        by_shape = (posed.by_shape[:, :2] - slope[:, :, None] * posed.by_shape[:, 2:]) * scale[:, :, None]
        (s, t), zero = scale.unbind(1), torch.zeros_like(scale[:, 0])
        by_translation = torch.stack([s, zero, zero, t, -slope[:, 0] * s, -slope[:, 1] * t], dim=1)
        if not self._moves_camera:
            by_translation = torch.zeros_like(by_translation)
        rows = [by_pose.flatten(1, 2), by_shape.transpose(1, 2).flatten(2)]
        return torch.cat(
            [*rows, by_translation.unflatten(1, (3, 2)).flatten(2), residual.flatten(1)[:, None]], 1
        )


class TranslationProblem:
    """Robust reprojection over the translation alone; 3 unknowns a person."""

    def __init__(
        self, joints: Float[Tensor, "B J 3"], keypoints: Float[Tensor, "B J 3"], sigma_px: float
    ) -> None:
        """State a problem.

        Args:
            joints: of the posed body, metres, without the translation.
            keypoints: pixels and confidence.
            sigma_px: scale of the robust function.
        """
        self._joints, self._keypoints, self._sigma_px = joints, keypoints, sigma_px

    def rows(self, index: Int[Tensor, " N"]) -> "TranslationProblem":
        """The problem of some of the people."""
        return TranslationProblem(self._joints[index], self._keypoints[index], self._sigma_px)

    def objective(self, unknowns: Float[Tensor, "B 3"]) -> Float[Tensor, " B"]:
        """Robust reprojection summed over joints, px²."""
        return self.linearize(unknowns).objective

    def linearize(self, unknowns: Float[Tensor, "B 3"]) -> Quadratic:
        """The objective with its Gauss-Newton model."""
        points = self._joints + unknowns[:, None]
        errors, jacobian = _pixel_errors(points, self._keypoints)
        shares, weight = robust_share(errors, self._sigma_px), self._keypoints[..., 2:].square()
        objective = _in_front(points[..., 2], summed_reprojection(errors, shares, weight))
        rows = (jacobian * (weight * shares.square())[..., None]).flatten(1, 2)
        return _gauss_newton(objective, rows, jacobian.flatten(1, 2), errors.flatten(1))


class TorsoProblem:
    """The camera stage: root rotation and translation of an otherwise rigid body; 6 unknowns a person."""

    def __init__(
        self,
        arms: Float[Tensor, "B 4 3"],
        root: Float[Tensor, "B 3"],
        keypoints: Float[Tensor, "B 4 3"],
        start_depth: Float[Tensor, " B"],
        depth_weight: float,
    ) -> None:
        """State a problem.

        Args:
            arms: torso joints relative to the root joint, in the root's own axes, metres.
            root: the root joint, metres.
            keypoints: of the torso, and whether they count (see `objective.Torso`).
            start_depth: depth of the start's translation, metres.
            depth_weight: of the depth term, per metre.
        """
        self._arms, self._root, self._keypoints = arms, root, keypoints
        self._start_depth, self._depth_weight = start_depth, depth_weight

    @classmethod
    def at(
        cls, objective: Objective, start: BodyState, keypoints: Float[Tensor, "B 49 3"], depth_weight: float
    ) -> "TorsoProblem":
        """The camera stage of some people, the depth tied to that of `start`."""
        seen = torso(objective.skeleton.joints(start.pose, start.betas), keypoints)
        root = objective.skeleton.root_joint(start.betas)
        arms = (seen.joints - root[:, None]) @ axis_angle_to_matrix(start.pose[:, :3])
        return cls(arms, root, seen.keypoints, start.translation[:, 2], depth_weight)

    def rows(self, index: Int[Tensor, " N"]) -> "TorsoProblem":
        """The problem of some of the people."""
        arms, root, keypoints = self._arms[index], self._root[index], self._keypoints[index]
        return TorsoProblem(arms, root, keypoints, self._start_depth[index], self._depth_weight)

    def objective(self, unknowns: Float[Tensor, "B 6"]) -> Float[Tensor, " B"]:
        """Squared pixel error of the torso and the depth term."""
        return self.linearize(unknowns).objective

    def linearize(self, unknowns: Float[Tensor, "B 6"]) -> Quadratic:
        """The objective with its Gauss-Newton model."""
        translation = unknowns[:, 3:]
        rotation, left_jacobian = rotation_and_left_jacobian(unknowns[:, :3])
        arms = self._arms @ rotation.mT
        points = arms + self._root[:, None] + translation[:, None]
        errors, by_translation = _pixel_errors(points, self._keypoints)
        # Row · (ω × arm) = ω · (arm × row).
        moments = torch.linalg.cross(arms[:, :, None].expand_as(by_translation), by_translation, dim=-1)
        jacobian = torch.cat([moments @ left_jacobian[:, None], by_translation], dim=-1).flatten(1, 2)
        counts = self._keypoints[..., 2:].expand(-1, -1, 2).flatten(1)
        seen = Torso(points - translation[:, None], self._keypoints)
        objective = torso_objective(seen, translation, self._start_depth, self._depth_weight)
        at = _gauss_newton(
            _in_front(points[..., 2], objective), jacobian * counts[..., None], jacobian, errors.flatten(1)
        )
        at.gradient[:, 5] += 2 * self._depth_weight**2 * (unknowns[:, 5] - self._start_depth)
        at.curvature[:, 5, 5] += 2 * self._depth_weight**2
        # Rotations that the four joints do not determine (all on a line, or missing) stay as they are.
        at.curvature.diagonal(dim1=1, dim2=2).add_(1e-3)
        return at


def _pixel_errors(
    points: Float[Tensor, "B J 3"], keypoints: Float[Tensor, "B J 3"]
) -> tuple[Float[Tensor, "B J 2"], Float[Tensor, "B J 2 3"]]:
    """Pixel errors, and their derivatives by the points."""
    depth = points[..., 2:].clamp(min=_NEAR_M)
    slope = points[..., :2] / depth
    scale = (FOCAL_PX / depth)[..., None]
    axes = torch.eye(2, dtype=points.dtype, device=points.device).expand(*slope.shape, 2)
    return FOCAL_PX * slope + CENTER_PX - keypoints[..., :2], scale * torch.cat([axes, -slope[..., None]], -1)


def _in_front(depth: Float[Tensor, "B N"], objective: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """The objective, infinite where a point is behind the camera or too near to it."""
    return torch.where(depth.amin(-1) > _NEAR_M, objective, torch.inf)


def _gauss_newton(
    objective: Float[Tensor, " B"],
    weighted: Float[Tensor, "B R D"],
    jacobian: Float[Tensor, "B R D"],
    errors: Float[Tensor, "B R"],
) -> Quadratic:
    return Quadratic(objective, 2 * (errors[:, None] @ weighted)[:, 0], 2 * weighted.mT @ jacobian)
