"""The camera of a mirror's picture: a real perspective, unlike the weak one that the method assumes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Camera(NamedTuple):
    """A pinhole camera in the world."""

    rotation: Float[np.ndarray, "3 3"]
    """World axes to camera axes."""
    position: Float[np.ndarray, " 3"]
    """Where the pinhole is, world axes, metres."""
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
        return self.focal_px * points[:, :2] / points[:, 2:] + self.center_px

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
    """A camera at `position` whose optical axis meets `target`, turned by `roll_rad` about it."""
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
