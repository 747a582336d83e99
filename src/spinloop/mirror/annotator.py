"""How far from a joint people put their marks, and how large a person is on a picture."""

import numpy as np
from jaxtyping import Float

from spinloop.joints import COCO17, COMMON24, MODEL49, OPENPOSE25, index_map

# Spread of repeated human annotations in units of √area, `COCO17`'s order (COCO's keypoint evaluation).
_SIGMA = dict(
    zip(
        COCO17,
        np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000,
        strict=True,
    )
)
# The other joints of OpenPose take the spread of the nearest joint that COCO has.
_LIKE = {"neck": "left_shoulder", "mid_hip": "left_hip"}
# Mean share of a person's box that the person fills, for people without a mask (COCO's tools).
_FILLED = 0.53

COCO_FROM_MODEL49 = tuple(len(OPENPOSE25) + index for index in index_map(COMMON24, COCO17))
OPENPOSE_FROM_MODEL49 = index_map(MODEL49, [f"op_{name}" for name in OPENPOSE25])
COCO_SIGMA: Float[np.ndarray, " 17"] = np.array([_SIGMA[name] for name in COCO17])
OPENPOSE_SIGMA: Float[np.ndarray, " 25"] = np.array(
    [
        _SIGMA[_LIKE.get(name, name)] if _LIKE.get(name, name) in _SIGMA else _SIGMA["left_ankle"]
        for name in OPENPOSE25
    ]
)


def person_size(pixels: Float[np.ndarray, "J 2"]) -> float:
    """Square root of the area that somebody with these joints fills, px."""
    return float(np.sqrt(_FILLED * np.ptp(pixels, axis=0).clip(1.0).prod()))
