"""What a body does in a picture: pose, shape and where it stands.

Mirroring a pose and turning it in the image plane, each with an exact inverse.

These are what a horizontal flip and a rotation of the crop do to the person in it (see `geometry.crop`).

A fit as a turned or mirrored crop sees it, and back.

A body turns about its root joint but its picture about the middle of the crop, so the root joint's place
comes into the translation.
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


_MIRROR_PERMUTATION = list(SMPL24_FLIP)


def flip_pose(pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 72"]:
    """The pose seen in a mirror: left and right change places, x turns to −x.

    Its own inverse.

    Args:
        pose: axis-angle of the 24 joints, radians.

    Source:
        SPIN's `flip_pose`.
    """
    signs = pose.new_tensor([1.0, -1.0, -1.0])
    return (pose.unflatten(-1, (24, 3))[:, _MIRROR_PERMUTATION] * signs).flatten(-2)


def rotate_pose(pose: Float[Tensor, "B 72"], rotation_deg: Float[Tensor, " B"]) -> Float[Tensor, "B 72"]:
    """The pose after the crop is turned by `rotation_deg`, the sense of `geometry.crop.crop_affine`.

    Only the root turns; turning by −`rotation_deg` undoes it.

    Args:
        pose: axis-angle of the 24 joints, radians, root in camera axes (x right, y down).
        rotation_deg: counter-clockwise as seen on the image for positive values.

    Source:
        SPIN's `rot_aa`: R_z(−r) on the left of the root's rotation.
    """
    turn = rotation_about_z(torch.deg2rad(-rotation_deg.double()))
    root = turn @ axis_angle_to_matrix(pose[:, :3].double())
    return torch.cat([matrix_to_axis_angle(root).to(pose.dtype), pose[:, 3:]], dim=-1)


class CropView(NamedTuple):
    """How a crop shows the picture: first turned, then mirrored."""

    rotation_deg: Float[Tensor, " B"]
    """Counter-clockwise as seen; the sense of `geometry.crop.crop_affine`."""
    is_flipped: Bool[Tensor, " B"]
    """Left and right change places."""


def to_view(state: BodyState, view: CropView, root: Float[Tensor, "B 3"]) -> BodyState:
    """The fit of the plain crop as the view shows it.

    Args:
        state: in the plain crop.
        view: the view.
        root: the root joint of each body, metres, without the translation.
    """
    pose = rotate_pose(state.pose, view.rotation_deg)
    turn = rotation_about_z(torch.deg2rad(-view.rotation_deg).to(root.dtype))
    place = (turn @ (root + state.translation)[..., None])[..., 0]
    mirrored = view.is_flipped[:, None]
    pose = torch.where(mirrored, flip_pose(pose), pose)
    return BodyState(pose, state.betas, torch.where(mirrored, _flip(place), place) - root)


def from_view(state: BodyState, view: CropView, root: Float[Tensor, "B 3"]) -> BodyState:
    """The inverse of `to_view`."""
    mirrored = view.is_flipped[:, None]
    pose = torch.where(mirrored, flip_pose(state.pose), state.pose)
    place = root + state.translation
    turn = rotation_about_z(torch.deg2rad(view.rotation_deg).to(root.dtype))
    place = (turn @ torch.where(mirrored, _flip(place), place)[..., None])[..., 0]
    return BodyState(rotate_pose(pose, -view.rotation_deg), state.betas, place - root)


def _flip(place: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3"]:
    return place * place.new_tensor([-1.0, 1.0, 1.0])
