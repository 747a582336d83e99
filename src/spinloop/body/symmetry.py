"""Mirroring a pose and turning it in the image plane, each with an exact inverse.

These are what a horizontal flip and a rotation of the crop do to the person in it (see `geometry.crop`).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, rotation_about_z
from spinloop.joints import SMPL24_MIRROR

_MIRROR_PERMUTATION = list(SMPL24_MIRROR)


def mirror_pose(pose: Float[Tensor, "B 72"]) -> Float[Tensor, "B 72"]:
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
