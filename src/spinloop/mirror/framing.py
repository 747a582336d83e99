"""Where people stand and where the camera stands: what a photographer decides."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.mirror.camera import Camera, focal_of, look_at
from spinloop.params.mirror import CameraParams, PictureParams

_STANDING_M = 1.7
_NEAREST_M = 1.5


class View(NamedTuple):
    """A camera as the one who holds it thinks of it; two of them can be blended."""

    position: Float[np.ndarray, " 3"]
    """World axes, metres."""
    target: Float[np.ndarray, " 3"]
    """What the optical axis meets, world axes, metres."""
    roll_rad: float
    focal_px: float

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of a picture of that height and width."""
        return look_at(self.position, self.target, self.roll_rad, self.focal_px, size)

    def blend(self, other: "View", share: float) -> "View":
        """From this view (0) to another (1) of the same focal length."""
        return View(
            self.position + share * (other.position - self.position),
            self.target + share * (other.target - self.target),
            self.roll_rad + share * (other.roll_rad - self.roll_rad),
            self.focal_px,
        )

    def moved(self, offset: Float[np.ndarray, " 3"]) -> "View":
        """The same view from elsewhere."""
        return View(self.position + offset, self.target + offset, self.roll_rad, self.focal_px)


def sample_size(rng: np.random.Generator, params: PictureParams) -> tuple[int, int]:
    """Height and width of an upright or a lying picture."""
    long, short = params.long_side_px, params.short_side_px
    return (long, short) if rng.random() < 0.5 else (short, long)


def sample_view(
    rng: np.random.Generator, params: CameraParams, size: tuple[int, int], middle: Float[np.ndarray, " 3"]
) -> View:
    """A view from the +z side of the world of somebody whose middle is `middle`.

    Args:
        rng: generator.
        params: distances, heights, aim.
        size: height and width of the picture.
        middle: world axes, metres.
    """
    focal = focal_of(rng.uniform(*params.field_of_view_deg.bounds), size)
    distance = max(_NEAREST_M, focal * _STANDING_M / (rng.uniform(*params.fill.bounds) * size[0]))
    height = rng.uniform(*params.height_m.bounds)
    position = np.array([middle[0] + rng.normal(0, 0.1) * distance, height, middle[2] + distance])
    aim = rng.normal(0, params.off_center, 2)
    if rng.random() < params.cut_off:
        aim[rng.integers(2)] = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.5)
    shift = aim * [size[1], size[0]] * distance / focal
    target = middle + np.array([shift[0], shift[1], 0.0])
    return View(position, target, float(rng.normal(0, np.deg2rad(params.roll_std_deg))), focal)


def sample_companion_place(rng: np.random.Generator) -> Float[np.ndarray, " 2"]:
    """Where a second person stands: beside the first or somewhat behind (x, z of the world, metres)."""
    return np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0), rng.uniform(-1.3, 0.3)])
