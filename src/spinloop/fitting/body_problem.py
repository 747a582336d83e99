"""The objective of pose, shape and translation as a problem for the Levenberg-Marquardt solver.

The unknowns of a sample are 85 numbers: 72 of the pose, 10 of the shape, 3 of the translation. Joints that
share a point of the body share its Jacobian: their robust weights are added up per point, which leaves 29
points for the 44 joints. Rows are kept multiplied by the square roots of those weights, with the weighted
residual as an 86th column, so that one product makes curvature and gradient.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinloop.body.joints_only import JointsOnly, PosedPoints
from spinloop.body.moments import BodyArrays
from spinloop.body.pose import BodyState
from spinloop.fitting.energy import FITTED_JOINTS, usable
from spinloop.fitting.prior import ANGLE_SIGNS, ANGLES, PosePrior
from spinloop.fitting.solvers import Quadratic
from spinloop.geometry.crop import CENTER_PX, FOCAL_PX
from spinloop.params.fitting import StageWeights

N_UNKNOWNS = 85
_BETAS, _TRANSLATION = slice(72, 82), slice(82, 85)
_DEPTH = 84
_ANGLES = tuple(3 + angle for angle in ANGLES)
# A body nearer to the camera than this is not seen through a 5000 px lens; it also keeps 1/z finite.
_NEAR_M = 0.1


class Evidence(NamedTuple):
    """What a batch is fitted to."""

    target: Float[Tensor, "B 2 44"]
    """Keypoints from the image's middle, pixels."""
    trust: Float[Tensor, "B 1 44"]
    """Confidence squared."""
    depth: Float[Tensor, " B"]
    """Where the translation's depth is held, metres."""
    anchor: Float[Tensor, "B 72"]
    """Where the pose is held, radians."""
    anchor_weight: Float[Tensor, "B 72"]
    """px² per rad²; 0 does not hold."""


class FittedBody(nn.Module):
    """A body and a prior, ready to be linearised."""

    pool: Tensor

    def __init__(self, body: BodyArrays, prior: PosePrior, sigma_px: float, dtype: torch.dtype) -> None:
        """Prepare the points that the fit sees.

        Args:
            body: arrays of an SMPL-format body.
            prior: over body poses.
            sigma_px: scale of the robust function.
            dtype: of the solver.
        """
        super().__init__()
        self.skeleton = JointsOnly(body, dtype=dtype, keep=FITTED_JOINTS)
        self.prior = prior
        self.sigma_px = sigma_px
        one_hot = torch.nn.functional.one_hot(self.skeleton.gather, self.skeleton.n_points)
        self.register_buffer("pool", one_hot.to(dtype))

    def curvatures(
        self, weights: StageWeights, depth_weight: float, moves_camera: bool
    ) -> Float[Tensor, "M 86 86"]:
        """Curvature of the quadratic terms for each component of the prior."""
        precisions = self.prior.precisions
        table = precisions.new_zeros(len(precisions), N_UNKNOWNS + 1, N_UNKNOWNS + 1)
        table[:, 3:72, 3:72] = weights.pose**2 * precisions
        diagonal = table.diagonal(dim1=1, dim2=2)
        diagonal[:, _BETAS] = 2 * weights.shape**2
        diagonal[:, _DEPTH] = 2 * depth_weight**2
        if not moves_camera:
            diagonal[:, _TRANSLATION] = 1
        return table


class BodyProblem:
    """Robust reprojection, priors, depth and anchor of a batch."""

    def __init__(
        self,
        model: FittedBody,
        evidence: Evidence,
        weights: StageWeights,
        depth_weight: float,
        moves_camera: bool = True,
    ) -> None:
        """Pose a problem.

        Args:
            model: body and prior.
            evidence: what is fitted to.
            weights: of the priors.
            depth_weight: holds the depth, per metre.
            moves_camera: whether the translation is fitted as well; else it stays at its start.
        """
        self.model = model
        self.evidence = evidence
        self.weights = weights
        self.depth_weight = depth_weight
        self.moves_camera = moves_camera
        self._table = model.curvatures(weights, depth_weight, moves_camera)

    def rows(self, index: Int[Tensor, " N"]) -> "BodyProblem":
        """The problem of some of the samples."""
        evidence = Evidence(*(part[index] for part in self.evidence))
        return BodyProblem(self.model, evidence, self.weights, self.depth_weight, self.moves_camera)

    def objective(self, unknowns: Float[Tensor, "B 85"]) -> Float[Tensor, " B"]:
        """The objective; infinite where a point comes too near to the camera."""
        pose, betas, translation = unknowns[:, :72], unknowns[:, _BETAS], unknowns[:, _TRANSLATION]
        points = self.model.skeleton.points(pose, betas) + translation[:, :, None]
        errors, shares = self._errors(points)
        quadratic = self.weights.pose**2 * self.model.prior.energy(pose[:, 3:]) + self._simple(unknowns)
        return self._allowed(points, quadratic + self._reprojection(errors, shares))

    def linearize(self, unknowns: Float[Tensor, "B 85"]) -> Quadratic:
        """The objective with its Gauss-Newton model.

        The derivative of the pose blend shapes is left out of the Jacobian (they move
        joints by millimetres); the objective has them, so a step is only ever accepted for a true gain.
        """
        model, weights = self.model, self.weights
        pose, betas, translation = unknowns[:, :72], unknowns[:, _BETAS], unknowns[:, _TRANSLATION]
        posed = model.skeleton.posed(pose, betas)
        points = posed.points + translation[:, :, None]
        errors, shares = self._errors(points)
        near = model.prior.nearest(pose[:, 3:])
        columns = self._columns(posed, points, errors, shares)
        normal = self._table.index_select(0, near.component).baddbmm_(columns, columns.mT, alpha=2)

        gradient = normal[:, :-1, -1].clone()
        gradient[:, 3:72] += weights.pose**2 * near.gradient
        gradient[:, _BETAS] += 2 * weights.shape**2 * betas
        if self.moves_camera:
            gradient[:, _DEPTH] += 2 * self.depth_weight**2 * (translation[:, 2] - self.evidence.depth)
        held = 2 * self.evidence.anchor_weight
        gradient[:, :72] += held * (pose - self.evidence.anchor)
        bent = 2 * weights.angle**2 * self._bends(pose)
        gradient[:, _ANGLES] += bent * bent.new_tensor(ANGLE_SIGNS)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal[:, :72] += held
        diagonal[:, _ANGLES] += 2 * bent

        objective = (
            self._reprojection(errors, shares) + weights.pose**2 * near.energy + self._simple(unknowns)
        )
        return Quadratic(self._allowed(points, objective), gradient, normal[:, :-1, :-1])

    def _errors(
        self, points: Float[Tensor, "B 3 P"]
    ) -> tuple[Float[Tensor, "B 2 44"], Float[Tensor, "B 2 44"]]:
        """Pixel errors, and the share of each that the robust function lets count."""
        projected = FOCAL_PX * points[:, :2] / points[:, 2:].clamp(min=_NEAR_M)
        errors = projected[:, :, self.model.skeleton.gather] - self.evidence.target
        return errors, self.model.sigma_px**2 / (self.model.sigma_px**2 + errors.square())

    def _reprojection(
        self, errors: Float[Tensor, "B 2 44"], shares: Float[Tensor, "B 2 44"]
    ) -> Float[Tensor, " B"]:
        return (self.evidence.trust * errors.square() * shares).sum((1, 2))

    def _bends(self, pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 4"]:
        return torch.exp(2 * pose[:, _ANGLES] * pose.new_tensor(ANGLE_SIGNS))

    def _simple(self, unknowns: Float[Tensor, "B 85"]) -> Float[Tensor, " B"]:
        """The terms that need neither body nor mixture."""
        pose, evidence = unknowns[:, :72], self.evidence
        energy = self.weights.angle**2 * self._bends(pose).sum(-1)
        energy = energy + self.weights.shape**2 * unknowns[:, _BETAS].square().sum(-1)
        energy = energy + self.depth_weight**2 * (unknowns[:, _DEPTH] - evidence.depth).square()
        return energy + (evidence.anchor_weight * (pose - evidence.anchor).square()).sum(-1)

    def _allowed(self, points: Float[Tensor, "B 3 P"], objective: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        return torch.where(points[:, 2].amin(-1) > _NEAR_M, objective, torch.inf)

    def _columns(
        self,
        posed: PosedPoints,
        points: Float[Tensor, "B 3 P"],
        errors: Float[Tensor, "B 2 44"],
        shares: Float[Tensor, "B 2 44"],
    ) -> Float[Tensor, "B 86 R"]:
        """Weighted Jacobian, one row per unknown, and the weighted residual below; R = 2 rows per point."""
        weight = self.evidence.trust * shares.square()
        mass = weight @ self.model.pool
        residual = (weight * errors) @ self.model.pool * mass.clamp(min=1e-12).rsqrt()
        depth = points[:, 2:].clamp(min=_NEAR_M)
        slope = points[:, :2] / depth
        scale = FOCAL_PX / depth * mass.sqrt()  # (B, 2, P)

        # A turn ω moves a point by ω × lever, and its image along (1, 0, −x/z) and (0, 1, −y/z).
        (x, y, z), (u, v) = posed.levers.unbind(2), slope[:, None].unbind(2)
        moments = torch.stack([-u * y, -v * y - z, z + u * x, v * x, -y, x], dim=2).unflatten(2, (3, 2))
        by_pose = posed.turns.mT @ (moments * scale[:, None, None]).flatten(3)
        by_shape = (posed.by_shape[:, :2] - slope[:, :, None] * posed.by_shape[:, 2:]) * scale[:, :, None]
        (s, t), nothing = scale.unbind(1), torch.zeros_like(scale[:, 0])
        by_translation = torch.stack([s, nothing, nothing, t, -slope[:, 0] * s, -slope[:, 1] * t], dim=1)
        if not self.moves_camera:
            by_translation = torch.zeros_like(by_translation)
        rows = [by_pose.flatten(1, 2), by_shape.transpose(1, 2).flatten(2)]
        return torch.cat(
            [*rows, by_translation.unflatten(1, (3, 2)).flatten(2), residual.flatten(1)[:, None]], 1
        )


def body_evidence(
    start: BodyState, keypoints: Float[Tensor, "B 49 3"], anchor_weight: Float[Tensor, "B 72"]
) -> Evidence:
    """What a batch is fitted to, depth and pose being held at the start."""
    known = usable(keypoints)[:, list(FITTED_JOINTS)]
    return Evidence(
        target=(known[..., :2] - CENTER_PX).transpose(1, 2).contiguous(),
        trust=known[..., 2].square()[:, None],
        depth=start.translation[:, 2],
        anchor=start.pose,
        anchor_weight=anchor_weight,
    )
