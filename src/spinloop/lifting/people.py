"""The people that the lifter learns from: drawn, posed, seen by a camera; nothing is rendered."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.state import BodyState
from spinloop.geometry.camera import estimate_translation
from spinloop.geometry.crop_frame import CENTER_PX, CROP_PX
from spinloop.motion.mixture import Mixture
from spinloop.params.lifting import LifterPeopleParams

# Share of the crop's side that a person takes up, as `box_factor: 1.2` leaves it.
_FILL = 1 / 1.2


class Seen(NamedTuple):
    """People as a camera sees them."""

    state: BodyState
    """The translation is that of the crop's 5000 px camera, which comes nearest to the real one."""
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    pixels: Float[Tensor, "B 49 2"]
    """Where the real camera sees the joints, pixels of the crop."""


def draw_people(
    skeleton: JointsOnly, mixture: Mixture, params: LifterPeopleParams, n: int, rng: np.random.Generator
) -> Seen:
    """Random people before random cameras.

    A camera stands at a person's distance, so that near hands are large; it looks at the person's root, as
    the crop's own camera does.

    Args:
        skeleton: the 49 joints of the body.
        mixture: of body poses.
        params: who is seen, from where.
        n: how many.
        rng: of everything.
    """
    body = mixture.sample(n, rng)
    pose = torch.from_numpy(np.concatenate([_roots(params, n, rng).as_rotvec(), body], axis=1)).float()
    betas = rng.normal(0, params.betas_std, (n, 10)).clip(-params.betas_limit, params.betas_limit)
    betas = torch.from_numpy(betas).float()
    low, high = np.log(params.distance_m.bounds)
    distance = torch.from_numpy(np.exp(rng.uniform(low, high, n))).float()

    joints = skeleton.joints(pose, betas)
    moved = joints - skeleton.root_joint(betas)[:, None]
    depth = (moved[..., 2:] + distance[:, None, None]).clamp(min=0.1)
    pixels = _in_crop(moved[..., :2] / depth)
    translation = estimate_translation(joints, pixels, torch.ones_like(pixels[..., 0]))
    return Seen(BodyState(pose, betas, translation), joints, pixels)


def _roots(params: LifterPeopleParams, n: int, rng: np.random.Generator) -> Rotation:
    """Roots in camera axes: leaning people that face anywhere, seen by a tilted, rolled camera."""
    lean = Rotation.from_euler("xz", rng.normal(0, params.lean_std_deg, (n, 2)), degrees=True)
    facing = _about("y", rng.uniform(-180, 180, n))
    # The body's axes are y up; the camera's y down, z away.
    upright = _about("x", 180 + rng.normal(0, params.elevation_std_deg, n))
    turn = rng.normal(0, params.roll_std_deg, n)
    roll = np.where(rng.random(n) < params.any_roll, rng.uniform(-180, 180, n), turn)
    return _about("z", roll) * upright * facing * lean


def _about(axis: str, angle_deg: Float[np.ndarray, " N"]) -> Rotation:
    return Rotation.from_euler(axis, angle_deg[:, None], degrees=True)


def _in_crop(image: Float[Tensor, "B 49 2"]) -> Float[Tensor, "B 49 2"]:
    """Points of the image plane in pixels of the square crop around them."""
    low, high = image.amin(1, keepdim=True), image.amax(1, keepdim=True)
    zoom = _FILL * CROP_PX / (high - low).amax(-1, keepdim=True)
    return (image - (low + high) / 2) * zoom + CENTER_PX
