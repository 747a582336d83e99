"""What reaches the lifter of a person: keypoints with the noise, gaps and mistakes of files."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.geometry.crop_frame import CROP_PX
from spinloop.joints import COCO17, COMMON24, FIT_IGNORED, LSP14, MODEL49, MODEL49_MIRROR, N_OPENPOSE
from spinloop.params.lifting import LifterKeypointsParams

# A quarter of a person that fills the crop.
_OUTLIER_PX = CROP_PX / 4
_IS_OPENPOSE = np.arange(len(MODEL49)) < N_OPENPOSE
_LIMB_WORDS = (
    ("left_shoulder", "left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow", "right_wrist"),
    ("left_knee", "left_ankle", "left_big_toe", "left_small_toe", "left_heel"),
    ("right_knee", "right_ankle", "right_big_toe", "right_small_toe", "right_heel"),
    ("nose", "eye", "ear", "head", "jaw"),
)
_LIMBS = np.array([[any(word in name for word in words) for name in MODEL49] for words in _LIMB_WORDS])
_ARMS, _LEGS = _LIMBS[0] | _LIMBS[1], _LIMBS[2] | _LIMBS[3] | np.array(["hip" in name for name in MODEL49])
# Which joints annotators give: LSP's, COCO's, or all.
_ANNOTATED = np.array(
    [[name in names for name in MODEL49] for names in (set(LSP14), set(COCO17), set(COMMON24))]
)


def detect(
    pixels: Float[Tensor, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Float[Tensor, "B 49 3"]:
    """Keypoints as a file holds them: pixels and confidence, zeros where there is none.

    Args:
        pixels: true places in the crop.
        params: what is lacking and wrong.
        rng: of the mistakes.
    """
    shape = pixels.shape[:2]
    spread = rng.uniform(*params.noise_px.bounds, (shape[0], 1)) * np.ones(shape)
    spread[:, list(FIT_IGNORED)] *= params.loose_noise
    is_outlier = rng.random(shape) < params.outlier
    spread[is_outlier] = _OUTLIER_PX
    error = rng.standard_normal((*shape, 2)) * spread[..., None]
    places = pixels.numpy() + error
    seen = _is_seen(places, params, rng)
    # A detector half knows when it is wrong; annotators are sure.
    score = rng.uniform(0.4, 0.95, shape) - rng.random(shape) * np.linalg.norm(error, axis=-1) / _OUTLIER_PX
    score = np.where(_IS_OPENPOSE, score.clip(0.05, 0.95), 1.0) * seen
    keypoints = np.concatenate([places * seen[..., None], score[..., None]], axis=-1)
    for group in (_ARMS, _LEGS):
        swapped = np.flatnonzero(rng.random(shape[0]) < params.swap)
        joints = np.flatnonzero(group & _IS_OPENPOSE)
        keypoints[np.ix_(swapped, joints)] = keypoints[np.ix_(swapped, np.array(MODEL49_MIRROR)[joints])]
    return torch.from_numpy(keypoints).float()


def _is_seen(
    places: Float[np.ndarray, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    n = len(places)
    kind = rng.random(n)
    has_openpose = kind >= params.only_annotated
    has_annotated = (kind < params.only_annotated) | (kind >= params.only_annotated + params.only_openpose)
    annotated = _ANNOTATED[rng.integers(len(_ANNOTATED), size=n)] & has_annotated[:, None]
    seen = np.where(_IS_OPENPOSE, has_openpose[:, None], annotated)
    seen &= rng.random(seen.shape) >= rng.uniform(0, params.miss, (n, 1))
    lost = rng.random((n, len(_LIMBS))) < params.lost_limb
    seen &= ~(lost[:, :, None] & _LIMBS).any(1)
    return seen & ~_cut_off(places, params.cut_off, rng)


def _cut_off(
    places: Float[np.ndarray, "B 49 2"], share: float, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    """Keypoints beyond the image's border, which cuts some people: mostly from below, as photographs do."""
    n = len(places)
    angle = np.where(rng.random(n) < 0.6, np.pi / 2, rng.integers(4, size=n) * np.pi / 2)
    along = places[..., 0] * np.cos(angle)[:, None] + places[..., 1] * np.sin(angle)[:, None]
    low, high = along.min(1, keepdims=True), along.max(1, keepdims=True)
    border = low + rng.uniform(0.35, 0.9, (n, 1)) * (high - low)
    return (rng.random(n) < share)[:, None] & (along > border)
