"""Pose, shape and translation of people, and how rotations and flips of the crop change them.

A body rotates about its root joint but its picture about the middle of the crop, so the translation depends
on the position of the root joint.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, rotation_about_z
from spinloop.joints import SMPL24_FLIP


class BodyState(NamedTuple):
    """Pose, shape and translation of a batch of people, in the camera of their crop."""

    pose: Float[Tensor, "B 72"]
    """Axis-angle of the 24 joints, radians; the first three are the root's, in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Coefficients of the shape directions, in standard deviations."""
    translation: Float[Tensor, "B 3"]
    """Metres; added to the body's points before projecting (see `geometry.camera`)."""

    def detach(self) -> "BodyState":
        """The same numbers, outside the graph."""
        return type(self)(*(tensor.detach() for tensor in self))

    def where(self, chosen: Bool[Tensor, " B"], other: "BodyState") -> "BodyState":
        """Rows of this state where `chosen`, rows of `other` elsewhere."""
        pairs = zip(self, other, strict=True)
        return type(self)(*(torch.where(chosen[:, None], mine, theirs) for mine, theirs in pairs))


def flip_pose(pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 72"]:
    """The left-right flipped pose; its own inverse.

    Args:
        pose: axis-angle of the 24 joints, radians.

    Source:
        SPIN's `flip_pose`.
    """
    signs = pose.new_tensor([1.0, -1.0, -1.0])
    return (pose.unflatten(-1, (24, 3))[:, list(SMPL24_FLIP)] * signs).flatten(-2)


def rotate_pose(pose: Float[Tensor, "B 72"], rotation_deg: Float[Tensor, " B"]) -> Float[Tensor, "B 72"]:
    """The pose in a rotated crop (see `geometry.crop.crop_affine`); only the root changes.

    Args:
        pose: axis-angle of the 24 joints, radians, root in camera axes (x right, y down).
        rotation_deg: positive values are counter-clockwise on the image.

    Source:
        SPIN's `rot_aa`: R_z(−r) on the left of the root's rotation.
    """
    in_plane = rotation_about_z(torch.deg2rad(-rotation_deg.double()))
    root = in_plane @ axis_angle_to_matrix(pose[:, :3].double())
    return torch.cat([matrix_to_axis_angle(root).to(pose.dtype), pose[:, 3:]], dim=-1)


class CropView(NamedTuple):
    """An augmented crop relative to the plain one: first rotated, then flipped."""

    rotation_deg: Float[Tensor, " B"]
    """Positive values are counter-clockwise on the image."""
    is_flipped: Bool[Tensor, " B"]


def to_view(state: BodyState, view: CropView, root: Float[Tensor, "B 3"]) -> BodyState:
    """The state in an augmented crop from that in the plain crop.

    Args:
        state: in the plain crop.
        view: the augmented crop.
        root: root joint of each body, metres, without the translation.
    """
    pose = rotate_pose(state.pose, view.rotation_deg)
    rotation = rotation_about_z(torch.deg2rad(-view.rotation_deg).to(root.dtype))
    position = (rotation @ (root + state.translation)[..., None])[..., 0]
    is_flipped = view.is_flipped[:, None]
    pose = torch.where(is_flipped, flip_pose(pose), pose)
    return BodyState(pose, state.betas, torch.where(is_flipped, _flip_x(position), position) - root)


def from_view(state: BodyState, view: CropView, root: Float[Tensor, "B 3"]) -> BodyState:
    """The inverse of `to_view`."""
    is_flipped = view.is_flipped[:, None]
    pose = torch.where(is_flipped, flip_pose(state.pose), state.pose)
    position = root + state.translation
    rotation = rotation_about_z(torch.deg2rad(view.rotation_deg).to(root.dtype))
    position = (rotation @ torch.where(is_flipped, _flip_x(position), position)[..., None])[..., 0]
    return BodyState(rotate_pose(pose, -view.rotation_deg), state.betas, position - root)


def _flip_x(points: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3"]:
    return points * points.new_tensor([-1.0, 1.0, 1.0])
