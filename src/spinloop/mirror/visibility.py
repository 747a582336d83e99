"""Which joints of a person a picture shows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32

from spinloop.joints import MODEL49

# How deep under the surface a joint lies on the camera's side, metres: nearer surfaces hide it.
_DEPTH_M = {
    "nose": 0.04, "eye": 0.04, "ear": 0.05, "wrist": 0.05, "elbow": 0.07, "shoulder": 0.12, "hip": 0.17,
    "knee": 0.09, "ankle": 0.07, "toe": 0.05, "heel": 0.06, "neck": 0.12, "head": 0.14, "jaw": 0.12,
    "thorax": 0.15, "spine": 0.17, "pelvis": 0.2,
}  # fmt: skip


def _depth_of(name: str) -> float:
    return next(depth for word, depth in _DEPTH_M.items() if word in name)


JOINT_DEPTH_M = np.array([_depth_of(name) for name in MODEL49])


def inside_image(pixels: Float[np.ndarray, "J 2"], size: Sequence[int]) -> Bool[np.ndarray, " J"]:
    """True for points on the picture."""
    (x, y), (height, width) = pixels.T, size[:2]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def visible(
    pixels: Float[np.ndarray, "J 2"],
    joint_depth: Float[np.ndarray, " J"],
    thickness_m: Float[np.ndarray, " J"],
    depth: Float32[np.ndarray, "H W"],
) -> Bool[np.ndarray, " J"]:
    """True where nothing stands between the camera and the flesh around a joint.

    Args:
        pixels: where the joints are projected, pixels of `depth`.
        joint_depth: metres along the camera's z axis.
        thickness_m: how much nearer than the joint its own surface may be.
        depth: of the nearest surface per pixel; infinite where there is none.
    """
    inside = inside_image(pixels, depth.shape)
    column, row = np.where(inside[:, None], pixels, 0.0).astype(np.int64).T
    return inside & (depth[row, column] > joint_depth - thickness_m)
