"""Finding the camera before or after the body: problems with three and with six unknowns."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinloop.body.joints_only import rotation_and_turn
from spinloop.body.pose import BodyState
from spinloop.fitting.energy import BodyEnergy, Torso, camera_energy, torso
from spinloop.fitting.solvers import Quadratic
from spinloop.geometry.crop import CENTER_PX, FOCAL_PX
from spinloop.geometry.rotations import axis_angle_to_matrix

# As in `fitting.body_problem`.
_NEAR_M = 0.1


class PlacedPoints(NamedTuple):
    """Points of a body whose pose is settled, and their keypoints."""

    points: Float[Tensor, "B J 3"]
    """Metres, without the translation."""
    keypoints: Float[Tensor, "B J 3"]
    """Pixels and confidence."""


class TranslationProblem:
    """Robust reprojection over the translation alone."""

    def __init__(self, placed: PlacedPoints, sigma_px: float) -> None:
        """Pose a problem.

        Args:
            placed: joints and keypoints.
            sigma_px: scale of the robust function.
        """
        self.placed = placed
        self.sigma_px = sigma_px

    def rows(self, index: Int[Tensor, " N"]) -> "TranslationProblem":
        """The problem of some of the samples."""
        return TranslationProblem(PlacedPoints(*(part[index] for part in self.placed)), self.sigma_px)

    def objective(self, unknowns: Float[Tensor, "B 3"]) -> Float[Tensor, " B"]:
        """Robust reprojection summed over joints, px²."""
        return self.linearize(unknowns).objective

    def linearize(self, unknowns: Float[Tensor, "B 3"]) -> Quadratic:
        """The objective with its Gauss-Newton model."""
        points = self.placed.points + unknowns[:, None]
        errors, jacobian = _project(points, self.placed.keypoints)
        shares = self.sigma_px**2 / (self.sigma_px**2 + errors.square())
        trust = self.placed.keypoints[..., 2:].square()
        objective = (trust * errors.square() * shares).sum((1, 2))
        rows = (jacobian * (trust * shares.square())[..., None]).flatten(1, 2)
        return _quadratic(_seen(points, objective), rows, jacobian.flatten(1, 2), errors.flatten(1))


class TorsoProblem:
    """The camera stage: root rotation and translation of a body that is otherwise stiff."""

    def __init__(
        self,
        arms: Float[Tensor, "B 4 3"],
        root: Float[Tensor, "B 3"],
        seen: Float[Tensor, "B 4 3"],
        depth: Float[Tensor, " B"],
        depth_weight: float,
    ) -> None:
        """Pose a problem.

        Args:
            arms: torso joints from the root joint, in the root's own axes, metres.
            root: the root joint, metres.
            seen: keypoints of the torso and whether they count (see `fitting.energy.torso`).
            depth: where the translation's depth is held, metres.
            depth_weight: per metre.
        """
        self.arms, self.root, self.seen = arms, root, seen
        self.depth, self.depth_weight = depth, depth_weight

    def rows(self, index: Int[Tensor, " N"]) -> "TorsoProblem":
        """The problem of some of the samples."""
        arms, root, seen = self.arms[index], self.root[index], self.seen[index]
        return TorsoProblem(arms, root, seen, self.depth[index], self.depth_weight)

    def objective(self, unknowns: Float[Tensor, "B 6"]) -> Float[Tensor, " B"]:
        """Squared pixel error of the torso and the depth term."""
        return self.linearize(unknowns).objective

    def linearize(self, unknowns: Float[Tensor, "B 6"]) -> Quadratic:
        """The objective with its Gauss-Newton model."""
        rotation, turn = rotation_and_turn(unknowns[:, :3])
        arms = self.arms @ rotation.mT
        points = arms + self.root[:, None] + unknowns[:, None, 3:]
        errors, by_translation = _project(points, self.seen)
        # Row · (ω × arm) = ω · (arm × row).
        moments = torch.linalg.cross(arms[:, :, None].expand_as(by_translation), by_translation, dim=-1)
        jacobian = torch.cat([moments @ turn[:, None], by_translation], dim=-1).flatten(1, 2)
        counts = self.seen[..., 2:].expand(-1, -1, 2).flatten(1)
        energy = camera_energy(
            Torso(points - unknowns[:, None, 3:], self.seen), unknowns[:, 3:], self.depth, self.depth_weight
        )
        at = _quadratic(_seen(points, energy), jacobian * counts[..., None], jacobian, errors.flatten(1))
        gradient, curvature = at.gradient, at.curvature
        gradient[:, 5] += 2 * self.depth_weight**2 * (unknowns[:, 5] - self.depth)
        curvature[:, 5, 5] += 2 * self.depth_weight**2
        # Turns that the four joints do not fix (all on a line, or missing) stay as they are.
        curvature.diagonal(dim1=1, dim2=2).add_(1e-3)
        return at


def torso_problem(
    energy: BodyEnergy, state: BodyState, keypoints: Float[Tensor, "B 49 3"], depth_weight: float
) -> TorsoProblem:
    """The camera stage of some people; the depth is held where it is.

    Args:
        energy: knows the body.
        state: where the stage starts.
        keypoints: pixels and confidence.
        depth_weight: per metre.
    """
    skeleton = energy.skeleton
    seen = torso(skeleton.joints(state.pose, state.betas), keypoints)
    root = skeleton.root_joint(state.betas)
    arms = (seen.joints - root[:, None]) @ axis_angle_to_matrix(state.pose[:, :3])
    return TorsoProblem(arms, root, seen.keypoints, state.translation[:, 2], depth_weight)


def _project(
    points: Float[Tensor, "B J 3"], keypoints: Float[Tensor, "B J 3"]
) -> tuple[Float[Tensor, "B J 2"], Float[Tensor, "B J 2 3"]]:
    """Pixel errors, and how they change with the points."""
    depth = points[..., 2:].clamp(min=_NEAR_M)
    slope = points[..., :2] / depth
    scale = (FOCAL_PX / depth)[..., None]
    axes = torch.eye(2, dtype=points.dtype, device=points.device).expand(*slope.shape, 2)
    return FOCAL_PX * slope + CENTER_PX - keypoints[..., :2], scale * torch.cat([axes, -slope[..., None]], -1)


def _seen(points: Float[Tensor, "B J 3"], objective: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    return torch.where(points[..., 2].amin(1) > _NEAR_M, objective, torch.inf)


def _quadratic(
    objective: Float[Tensor, " B"],
    weighted: Float[Tensor, "B R D"],
    jacobian: Float[Tensor, "B R D"],
    errors: Float[Tensor, "B R"],
) -> Quadratic:
    return Quadratic(objective, 2 * (errors[:, None] @ weighted)[:, 0], 2 * weighted.mT @ jacobian)
