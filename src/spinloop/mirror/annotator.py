"""How far from a joint people put their marks, and how large a person is on a picture."""

import numpy as np
from jaxtyping import Float

from spinloop.joints import COCO17, COMMON24, MODEL49, OPENPOSE25, JointSet, index_map

# Spread of repeated human annotations in units of √area, `COCO17`'s order (COCO's keypoint evaluation).
_SIGMA = dict(
    zip(
        COCO17,
        np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000,
        strict=True,
    )
)
# The joints of OpenPose and of the 24 that COCO lacks take the spread of the nearest one that it has.
_LIKE = {
    "neck": "left_shoulder", "mid_hip": "left_hip", "neck_lsp": "left_shoulder", "head_top_lsp": "left_ear",
    "pelvis_mpii": "left_hip", "thorax_mpii": "left_shoulder", "spine_h36m": "left_hip",
    "jaw_h36m": "left_ear", "head_h36m": "left_ear",
}  # fmt: skip
# Mean share of a person's box that the person fills, for people without a mask (COCO's tools).
_FILLED = 0.53

COCO_FROM_MODEL49 = tuple(len(OPENPOSE25) + index for index in index_map(COMMON24, COCO17))
OPENPOSE_FROM_MODEL49 = index_map(MODEL49, [f"op_{name}" for name in OPENPOSE25])
COCO_SIGMA: Float[np.ndarray, " 17"] = np.array([_SIGMA[name] for name in COCO17])


def _sigma_of(name: str) -> float:
    return _SIGMA.get(_LIKE.get(name, name), _SIGMA["left_ankle"])


OPENPOSE_SIGMA: Float[np.ndarray, " 25"] = np.array([_sigma_of(name) for name in OPENPOSE25])
_COMMON_SIGMA = {name: _sigma_of(name) for name in COMMON24}


def person_size(pixels: Float[np.ndarray, "J 2"]) -> float:
    """Square root of the area that somebody with these joints fills, px."""
    return float(np.sqrt(_FILLED * np.ptp(pixels, axis=0).clip(1.0).prod()))


def mark_joints(
    pixels: Float[np.ndarray, "49 2"], names: JointSet, noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "J 2"]:
    """Where an annotator puts the joints of that name (of `joints.COMMON24`), px.

    Args:
        pixels: true places of the 49 joints.
        names: of the joints that are annotated.
        noise: size of the error, in units of the spread among COCO's annotators.
        rng: generator.
    """
    true = pixels[len(OPENPOSE25) :][list(index_map(COMMON24, names))]
    spread = noise * person_size(pixels) * np.array([_COMMON_SIGMA[name] for name in names])
    return true + rng.standard_normal(true.shape) * spread[:, None]
