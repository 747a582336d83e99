"""The camera of a picture, with full perspective unlike the weak one of the method, and its placement."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.params.mirror import CameraParams, PictureParams
from spinloop.rendering.raycast import project_points


class Camera(NamedTuple):
    """A pinhole camera in the world."""

    rotation: Float[np.ndarray, "3 3"]
    """World axes to camera axes."""
    position: Float[np.ndarray, " 3"]
    """Center of projection, world axes, metres."""
    focal_px: float
    """Focal length, the same on both axes."""
    size: tuple[int, int]
    """Height and width of the picture, pixels; the principal point is its middle."""

    @property
    def center_px(self) -> Float[np.ndarray, " 2"]:
        """Principal point (x, y)."""
        return np.array([self.size[1] / 2, self.size[0] / 2])

    @property
    def translation(self) -> Float[np.ndarray, " 3"]:
        """The t of x_camera = rotation · x_world + t."""
        return -self.rotation @ self.position

    def to_camera(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """World points in camera axes."""
        return points @ self.rotation.T + self.translation

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Pixels of points given in camera axes."""
        return project_points(points, self.focal_px, self.center_px)

    def rays(self) -> Float[np.ndarray, "P 3"]:
        """Direction in world axes through the middle of every pixel, row by row; 1 along the optical axis."""
        rows, columns = np.mgrid[: self.size[0], : self.size[1]] + 0.5
        x, y = (columns - self.center_px[0]) / self.focal_px, (rows - self.center_px[1]) / self.focal_px
        return np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) @ self.rotation


def look_at(
    position: Float[np.ndarray, " 3"],
    target: Float[np.ndarray, " 3"],
    roll_rad: float,
    focal_px: float,
    size: tuple[int, int],
) -> Camera:
    """A camera at `position` whose optical axis meets `target`, rotated by `roll_rad` about it."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward])
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    roll = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return Camera(roll @ level, np.asarray(position, dtype=np.float64), focal_px, size)


def focal_of(field_of_view_deg: float, size: tuple[int, int]) -> float:
    """Focal length (px) that sees `field_of_view_deg` along the picture's longer side."""
    return max(size) / 2 / np.tan(np.deg2rad(field_of_view_deg) / 2)


_STANDING_M = 1.7
_NEAREST_M = 1.5


class Viewpoint(NamedTuple):
    """A camera by its position and target; two of them can be interpolated."""

    position: Float[np.ndarray, " 3"]
    """World axes, metres."""
    target: Float[np.ndarray, " 3"]
    """Point that the optical axis meets, world axes, metres."""
    roll_rad: float
    focal_px: float

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of a picture of that height and width."""
        return look_at(self.position, self.target, self.roll_rad, self.focal_px, size)

    def interpolate(self, other: "Viewpoint", share: float) -> "Viewpoint":
        """From this viewpoint (0) to another (1) of the same focal length."""
        return Viewpoint(
            self.position + share * (other.position - self.position),
            self.target + share * (other.target - self.target),
            self.roll_rad + share * (other.roll_rad - self.roll_rad),
            self.focal_px,
        )

    def moved(self, offset: Float[np.ndarray, " 3"]) -> "Viewpoint":
        """The same camera and target, translated (world axes, metres)."""
        return Viewpoint(self.position + offset, self.target + offset, self.roll_rad, self.focal_px)


def sample_size(rng: np.random.Generator, params: PictureParams) -> tuple[int, int]:
    """Height and width of a picture in portrait or landscape format."""
    long, short = params.long_side_px, params.short_side_px
    return (long, short) if rng.random() < 0.5 else (short, long)


def sample_viewpoint(
    rng: np.random.Generator, params: CameraParams, size: tuple[int, int], middle: Float[np.ndarray, " 3"]
) -> Viewpoint:
    """A camera on the +z side of a person.

    Args:
        rng: generator.
        params: distances, heights, aim.
        size: height and width of the picture.
        middle: of the person, world axes, metres.
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
    return Viewpoint(position, target, float(rng.normal(0, np.deg2rad(params.roll_std_deg))), focal)


def sample_companion_place(rng: np.random.Generator) -> Float[np.ndarray, " 2"]:
    """Place of a second person: beside the first or somewhat behind (x, z of the world, metres)."""
    return np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0), rng.uniform(-1.3, 0.3)])
