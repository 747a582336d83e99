"""The start of a fit when there is no estimate: the prior's mean pose, placed before the camera by the torso.

After the original SMPLify: the depth by similar triangles of the torso, and two facings where a side view
leaves the facing open. In addition, the start is rotated in the image along the torso and faces the way that
the order of the shoulders says, so that fits of lying people and of backs begin near to their solution.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.pose import BodyState
from spinloop.fitting.objective import Objective, Torso, fitted_keypoints, torso
from spinloop.geometry.camera import estimate_translation
from spinloop.geometry.crop import CENTER_PX, FOCAL_PX
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, rotation_about_z

# Positions in the torso, right side first.
_HIPS, _SHOULDERS = (0, 1), (2, 3)
_RIGHT_SHOULDER, _LEFT_SHOULDER = _SHOULDERS
# Shorter torsos (seen from above, or collapsed detections) would put the body kilometres away.
_MIN_TORSO_PX = 5.0
# A translation outside is no camera of a crop: the body would be in the lens, or a few pixels high.
_NEAREST_M, _FARTHEST_M = 2.0, 2000.0
# Neither radians nor standard deviations.
_ABSURD = 1e3


class MeanPose(NamedTuple):
    """The mean pose of each person as the keypoints suggest it."""

    state: BodyState
    is_ambiguous: Bool[Tensor, " B"]
    """Whether the person may as well face the other way."""


def mean_pose(objective: Objective, keypoints: Float[Tensor, "B 49 3"], side_view_px: float) -> MeanPose:
    """The prior's mean pose with the mean shape, placed before the camera.

    Args:
        objective: body and prior.
        keypoints: pixels and confidence.
        side_view_px: if the shoulders are nearer to each other than this, the facing is ambiguous.
    """
    n, mean = len(keypoints), objective.prior.mean
    betas = mean.new_zeros(n, 10)
    upright = torch.cat([mean.new_tensor([torch.pi, 0.0, 0.0]), mean]).expand(n, -1)
    seen = torso(objective.skeleton.joints(upright, betas), keypoints)
    root, is_ambiguous = _root_along_torso(seen, side_view_px)
    pose = torch.cat([root, upright[:, 3:]], dim=1)
    return MeanPose(_placed_by_torso(objective, pose, betas, keypoints), is_ambiguous)


def rotated_half_turn(
    objective: Objective, start: BodyState, keypoints: Float[Tensor, "B 49 3"]
) -> BodyState:
    """The same start facing the other way: rotated by π about the body's own upright axis."""
    matrix = axis_angle_to_matrix(start.pose[:, :3]) * start.pose.new_tensor([-1.0, 1.0, -1.0])
    pose = torch.cat([matrix_to_axis_angle(matrix), start.pose[:, 3:]], dim=1)
    return _placed_by_torso(objective, pose, start.betas, keypoints)


def replace_invalid(
    objective: Objective, start: BodyState, keypoints: Float[Tensor, "B 49 3"], side_view_px: float
) -> BodyState:
    """A start from outside, with rows that cannot be a start replaced.

    A row that is not finite, or absurd, becomes the mean pose; a translation that is no camera of a crop is
    estimated from the keypoints.

    Args:
        objective: body and prior.
        start: from anywhere.
        keypoints: pixels and confidence.
        side_view_px: as in `mean_pose`.
    """
    # NaN is not less than anything.
    is_valid = (torch.cat([start.pose, start.betas], dim=1).abs() < _ABSURD).all(1)
    if not bool(is_valid.all()):
        start = start.where(is_valid, mean_pose(objective, keypoints, side_view_px).state)
    depth = start.translation[:, 2]
    is_placed = torch.isfinite(start.translation).all(1) & (depth > _NEAREST_M) & (depth < _FARTHEST_M)
    if not bool(is_placed.all()):
        joints, known = objective.skeleton.joints(start.pose, start.betas), fitted_keypoints(keypoints)
        estimated = estimate_translation(joints, known[..., :2], known[..., 2])
        start = start.where(is_placed, start._replace(translation=estimated))
    return start


def _placed_by_torso(
    objective: Objective,
    pose: Float[Tensor, "B 72"],
    betas: Float[Tensor, "B 10"],
    keypoints: Float[Tensor, "B 49 3"],
) -> BodyState:
    """A body before the camera, its depth by similar triangles of the torso.

    Where no side of the torso is seen whole, the translation is the least-squares one of all joints.
    """
    joints = objective.skeleton.joints(pose, betas)
    seen, known = torso(joints, keypoints), fitted_keypoints(keypoints)
    weight = seen.keypoints[..., 2]
    sides = weight[:, _SHOULDERS] * weight[:, _HIPS]
    body_m = (seen.joints[:, _SHOULDERS] - seen.joints[:, _HIPS]).norm(dim=-1)
    image_px = (seen.keypoints[:, _SHOULDERS, :2] - seen.keypoints[:, _HIPS, :2]).norm(dim=-1)
    depth = FOCAL_PX * (sides * body_m).sum(-1) / (sides * image_px).sum(-1).clamp(min=_MIN_TORSO_PX)
    middle = (weight[..., None] * (seen.keypoints[..., :2] - CENTER_PX)).sum(1) * (depth / FOCAL_PX)[:, None]
    middle = middle - (weight[..., None] * seen.joints[..., :2]).sum(1)
    middle = middle / weight.sum(-1, keepdim=True).clamp(min=1)
    by_torso = torch.cat([middle, depth[:, None]], dim=1)
    by_all = estimate_translation(joints, known[..., :2], known[..., 2])
    return BodyState(pose, betas, torch.where(sides.sum(-1, keepdim=True) > 0, by_torso, by_all))


def _root_along_torso(seen: Torso, side_view_px: float) -> tuple[Float[Tensor, "B 3"], Bool[Tensor, " B"]]:
    """Root rotation of an upright body rotated along the torso, facing the camera or away from it.

    A side of the torso that is not seen does not count; without any, the body stands upright and faces the
    camera. The second result says where the facing is ambiguous.
    """
    points, weight = seen.keypoints[..., :2], seen.keypoints[..., 2]
    sides = (weight[:, _SHOULDERS] * weight[:, _HIPS])[..., None]
    up = (sides * (points[:, _SHOULDERS] - points[:, _HIPS])).sum(1)
    angle = torch.where(sides.sum((1, 2)) > 0, torch.atan2(up[:, 0], -up[:, 1]), 0.0)
    across = points[:, _LEFT_SHOULDER] - points[:, _RIGHT_SHOULDER]
    width = across[:, 0] * angle.cos() + across[:, 1] * angle.sin()
    has_both = weight[:, _LEFT_SHOULDER] * weight[:, _RIGHT_SHOULDER] > 0
    is_away = has_both & (width < 0)
    # Upright and facing the camera is a rotation by π about x; facing away, by π about z.
    upright = torch.diag(angle.new_tensor([1.0, -1.0, -1.0])).expand(len(angle), 3, 3)
    away = torch.diag(angle.new_tensor([-1.0, -1.0, 1.0])).expand_as(upright)
    root = rotation_about_z(angle) @ torch.where(is_away[:, None, None], away, upright)
    return matrix_to_axis_angle(root), ~has_both | (width.abs() < side_view_px)
