"""A fit as a turned or mirrored crop sees it, and back.

A body turns about its root joint but its picture about the middle of the crop, so the root joint's place
comes into the translation.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.state import BodyState
from spinloop.body.symmetry import mirror_pose, rotate_pose
from spinloop.geometry.rotations import rotation_about_z


class View(NamedTuple):
    """How a crop shows the picture: first turned, then mirrored."""

    rotation_deg: Float[Tensor, " B"]
    """Counter-clockwise as seen; the sense of `geometry.crop.crop_affine`."""
    is_mirrored: Bool[Tensor, " B"]
    """Left and right change places."""


def to_view(state: BodyState, view: View, root: Float[Tensor, "B 3"]) -> BodyState:
    """The fit of the plain crop as the view shows it.

    Args:
        state: in the plain crop.
        view: the view.
        root: the root joint of each body, metres, without the translation.
    """
    pose = rotate_pose(state.pose, view.rotation_deg)
    turn = rotation_about_z(torch.deg2rad(-view.rotation_deg).to(root.dtype))
    place = (turn @ (root + state.translation)[..., None])[..., 0]
    mirrored = view.is_mirrored[:, None]
    pose = torch.where(mirrored, mirror_pose(pose), pose)
    return BodyState(pose, state.betas, torch.where(mirrored, _flip(place), place) - root)


def from_view(state: BodyState, view: View, root: Float[Tensor, "B 3"]) -> BodyState:
    """The inverse of `to_view`."""
    mirrored = view.is_mirrored[:, None]
    pose = torch.where(mirrored, mirror_pose(state.pose), state.pose)
    place = root + state.translation
    turn = rotation_about_z(torch.deg2rad(view.rotation_deg).to(root.dtype))
    place = (turn @ torch.where(mirrored, _flip(place), place)[..., None])[..., 0]
    return BodyState(rotate_pose(pose, -view.rotation_deg), state.betas, place - root)


def _flip(place: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3"]:
    return place * place.new_tensor([-1.0, 1.0, 1.0])
