"""Where a fit starts when there is no estimate: the prior's mean pose, placed by the torso.

After the original SMPLify: the depth by similar triangles of the torso, and two ways to face where a side
view leaves it open. Beyond it, the start is turned in the image to the torso's direction and faces the way
that the order of the shoulders says, so that lying people and backs begin near to their solution.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.fitting.energy import BodyEnergy, Torso, fitted_only, torso
from spinloop.geometry.camera import estimate_translation
from spinloop.geometry.crop import CENTER_PX, FOCAL_PX
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, rotation_about_z

# Positions in the torso, right side first.
_HIPS, _SHOULDERS = (0, 1), (2, 3)
_RIGHT_SHOULDER, _LEFT_SHOULDER = _SHOULDERS
# Shorter torsos (seen from above, or collapsed detections) would put the body kilometres away.
_LEAST_TORSO_PX = 5.0
# A translation outside is no camera of a crop: the body would be in the lens, or a few pixels high.
_NEAREST_M, _FARTHEST_M = 2.0, 2000.0
# Neither radians nor standard deviations; NaN is not less than it either.
_ABSURD = 1e3


class MeanStart(NamedTuple):
    """The mean pose of each sample as the picture suggests it."""

    state: BodyState
    is_ambiguous: Bool[Tensor, " B"]
    """Whether the person may as well face the other way."""


def mean_start(energy: BodyEnergy, keypoints: Float[Tensor, "B 49 3"], side_view_px: float) -> MeanStart:
    """The prior's mean pose with mean shape, placed before the camera.

    Args:
        energy: body and prior.
        keypoints: pixels and confidence.
        side_view_px: shoulders nearer to each other than this leave open which way the person faces.
    """
    n, mean = len(keypoints), energy.prior.mean
    betas = mean.new_zeros(n, 10)
    upright = torch.cat([mean.new_tensor([torch.pi, 0.0, 0.0]), mean]).expand(n, -1)
    seen = torso(energy.skeleton.joints(upright, betas), keypoints)
    root, is_ambiguous = _facing(seen, side_view_px)
    pose = torch.cat([root, upright[:, 3:]], dim=1)
    return MeanStart(stand(energy, pose, betas, keypoints), is_ambiguous)


def sane_start(
    energy: BodyEnergy, start: BodyState, keypoints: Float[Tensor, "B 49 3"], side_view_px: float
) -> BodyState:
    """A start given from outside, rows that cannot be one replaced.

    A row that is not finite, or absurd, becomes the mean pose; a translation that is no camera is estimated
    anew.

    Args:
        energy: body and prior.
        start: from anywhere.
        keypoints: pixels and confidence.
        side_view_px: as in `mean_start`.
    """
    possible = (torch.cat([start.pose, start.betas], dim=1).abs() < _ABSURD).all(1)
    if not bool(possible.all()):
        start = start.where(possible, mean_start(energy, keypoints, side_view_px).state)
    depth = start.translation[:, 2]
    placed = torch.isfinite(start.translation).all(1) & (depth > _NEAREST_M) & (depth < _FARTHEST_M)
    if not bool(placed.all()):
        joints, known = energy.skeleton.joints(start.pose, start.betas), fitted_only(keypoints)
        found = estimate_translation(joints, known[..., :2], known[..., 2])
        start = start.where(placed, start._replace(translation=found))
    return start


def turned_around(energy: BodyEnergy, start: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
    """The same start facing the other way: turned by π about the body's own upright axis."""
    matrix = axis_angle_to_matrix(start.pose[:, :3]) * start.pose.new_tensor([-1.0, 1.0, -1.0])
    pose = torch.cat([matrix_to_axis_angle(matrix), start.pose[:, 3:]], dim=1)
    return stand(energy, pose, start.betas, keypoints)


def stand(
    energy: BodyEnergy,
    pose: Float[Tensor, "B 72"],
    betas: Float[Tensor, "B 10"],
    keypoints: Float[Tensor, "B 49 3"],
) -> BodyState:
    """A body before the camera, its depth by similar triangles of the torso.

    Where no side of the torso is seen whole, the translation is the least-squares one of all joints.
    """
    joints = energy.skeleton.joints(pose, betas)
    seen, known = torso(joints, keypoints), fitted_only(keypoints)
    weight = seen.keypoints[..., 2]
    sides = weight[:, _SHOULDERS] * weight[:, _HIPS]
    body_m = (seen.joints[:, _SHOULDERS] - seen.joints[:, _HIPS]).norm(dim=-1)
    image_px = (seen.keypoints[:, _SHOULDERS, :2] - seen.keypoints[:, _HIPS, :2]).norm(dim=-1)
    depth = FOCAL_PX * (sides * body_m).sum(-1) / (sides * image_px).sum(-1).clamp(min=_LEAST_TORSO_PX)
    middle = (weight[..., None] * (seen.keypoints[..., :2] - CENTER_PX)).sum(1) * (depth / FOCAL_PX)[:, None]
    middle = middle - (weight[..., None] * seen.joints[..., :2]).sum(1)
    middle = middle / weight.sum(-1, keepdim=True).clamp(min=1)
    by_torso = torch.cat([middle, depth[:, None]], dim=1)
    by_all = estimate_translation(joints, known[..., :2], known[..., 2])
    return BodyState(pose, betas, torch.where(sides.sum(-1, keepdim=True) > 0, by_torso, by_all))


def _facing(seen: Torso, side_view_px: float) -> tuple[Float[Tensor, "B 3"], Bool[Tensor, " B"]]:
    """Root rotation of an upright body turned along the torso, towards or away from the camera.

    A side of the torso that is not seen says nothing; without any, the body stands upright and faces
    the camera.
    """
    points, weight = seen.keypoints[..., :2], seen.keypoints[..., 2]
    sides = (weight[:, _SHOULDERS] * weight[:, _HIPS])[..., None]
    up = (sides * (points[:, _SHOULDERS] - points[:, _HIPS])).sum(1)
    angle = torch.where(sides.sum((1, 2)) > 0, torch.atan2(up[:, 0], -up[:, 1]), 0.0)
    across = points[:, _LEFT_SHOULDER] - points[:, _RIGHT_SHOULDER]
    width = across[:, 0] * angle.cos() + across[:, 1] * angle.sin()
    both = weight[:, _LEFT_SHOULDER] * weight[:, _RIGHT_SHOULDER] > 0
    is_away = both & (width < 0)
    # Upright and facing the camera is a turn by π about x; facing away, by π about z.
    upright = torch.diag(angle.new_tensor([1.0, -1.0, -1.0])).expand(len(angle), 3, 3)
    away = torch.diag(angle.new_tensor([-1.0, -1.0, 1.0])).expand_as(upright)
    root = rotation_about_z(angle) @ torch.where(is_away[:, None, None], away, upright)
    return matrix_to_axis_angle(root), ~both | (width.abs() < side_view_px)
