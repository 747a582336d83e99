"""Models of annotators' and detectors' errors: simulated 2D keypoints of people whose true joints are known.

Two samplers share the joint groups, the outliers and the swaps of sides: `sample_detections` makes the
BODY_25 detections of one rendered picture, where it is known which joints are hidden, with errors in units of
the spread among COCO's annotators; `sample_keypoints` makes a batch of merged keypoints (BODY_25 and
annotated) in the crop, of people who were never rendered, with errors in px and with joints lost by limbs and
borders. Each has its own parameters (`params.mirror`, `params.fitting`) and its own order of samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.geometry.crop import CROP_PX
from spinloop.joints import (
    COCO17,
    COMMON24,
    FIT_IGNORED,
    LSP14,
    MODEL49,
    N_OPENPOSE,
    OPENPOSE25,
    JointSet,
    flip_permutation,
    index_map,
)
from spinloop.params.fitting import LifterKeypointsParams
from spinloop.params.mirror import DetectorParams

Detection = Float[np.ndarray, "25 3"]

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


def _sigma_of(name: str) -> float:
    return _SIGMA.get(_LIKE.get(name, name), _SIGMA["left_ankle"])


COCO_SIGMA: Float[np.ndarray, " 17"] = np.array([_SIGMA[name] for name in COCO17])
OPENPOSE_SIGMA: Float[np.ndarray, " 25"] = np.array([_sigma_of(name) for name in OPENPOSE25])
_COMMON_SIGMA = {name: _sigma_of(name) for name in COMMON24}

# Mean share of a person's box that the person fills, for people without a mask (COCO's tools).
_FILLED = 0.53
# Spread of an outlier, in units of the person's size.
_OUTLIER = 0.25
# The same where people fill the crop.
_OUTLIER_PX = _OUTLIER * CROP_PX
_FLIP = np.array(flip_permutation(OPENPOSE25))


def _joints_named(names: JointSet, words: Sequence[str]) -> Bool[np.ndarray, " J"]:
    return np.array([any(word in name for word in words) for name in names])


# Joints of BODY_25 whose sides a detector confuses together.
_SWAPPED_TOGETHER = (
    _joints_named(OPENPOSE25, ("shoulder", "elbow", "wrist")),
    _joints_named(OPENPOSE25, ("hip", "knee", "ankle", "toe", "heel")),
)
# People with fewer joints than this are not found by the detector.
_FEW_JOINTS = 4

_IS_OPENPOSE = np.arange(len(MODEL49)) < N_OPENPOSE
# Joints of the 49 that are lost together.
_LIMBS = np.stack(
    [
        _joints_named(MODEL49, words)
        for words in (
            ("left_shoulder", "left_elbow", "left_wrist"),
            ("right_shoulder", "right_elbow", "right_wrist"),
            ("left_knee", "left_ankle", "left_big_toe", "left_small_toe", "left_heel"),
            ("right_knee", "right_ankle", "right_big_toe", "right_small_toe", "right_heel"),
            ("nose", "eye", "ear", "head", "jaw"),
        )
    ]
)
# BODY_25's joints that detectors with fewer joints lack or take from others.
_MIDDLES = tuple(
    (MODEL49.index(f"op_{name}"), list(index_map(MODEL49, [f"op_left_{of}", f"op_right_{of}"])))
    for name, of in (("neck", "shoulder"), ("mid_hip", "hip"))
)
_SMALL_TOES = _joints_named(MODEL49, ("small_toe",))
_FEET = _joints_named(MODEL49, ("toe", "heel"))
# Noise of each joint where it differs, relative to the mean.
_UNEVEN = np.concatenate([OPENPOSE_SIGMA, list(_COMMON_SIGMA.values())]) / OPENPOSE_SIGMA.mean()
# Which of the 49 annotators give: LSP's, COCO's, or all.
_ANNOTATED = np.array(
    [[name in names for name in MODEL49] for names in (set(LSP14), set(COCO17), set(COMMON24))]
)


class TrueJoints(NamedTuple):
    """A person on a picture, before any error."""

    pixels: Float[np.ndarray, "25 2"]
    """Projections of the `OPENPOSE25` joints."""
    is_visible: Bool[np.ndarray, " 25"]


def person_size(pixels: Float[np.ndarray, "J 2"]) -> float:
    """Square root of the area of a person with these joints, px."""
    return float(np.sqrt(_FILLED * np.ptp(pixels, axis=0).clip(1.0).prod()))


def inside_image(pixels: Float[np.ndarray, "J 2"], size: Sequence[int]) -> Bool[np.ndarray, " J"]:
    """True for points on a picture of that height and width."""
    (x, y), (height, width) = pixels.T, size[:2]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def sample_annotation(
    pixels: Float[np.ndarray, "49 2"], names: JointSet, noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "J 2"]:
    """Where an annotator puts the joints of that name (of `joints.COMMON24`), px.

    Args:
        pixels: true places of the 49 joints.
        names: of the joints that are annotated.
        noise: size of the error, in units of the spread among COCO's annotators.
        rng: generator.
    """
    true = pixels[N_OPENPOSE:][list(index_map(COMMON24, names))]
    spread = noise * person_size(pixels) * np.array([_COMMON_SIGMA[name] for name in names])
    return true + rng.standard_normal(true.shape) * spread[:, None]


def sample_detections(
    people: Sequence[TrueJoints], size: tuple[int, int], params: DetectorParams, rng: np.random.Generator
) -> list[Detection]:
    """Detections of a picture, in no particular order.

    Args:
        people: everybody on it.
        size: its height and width.
        params: the detector's errors.
        rng: generator.

    Returns:
        x, y (px) and score per joint and person found; three zeros for a joint that was not found.
    """
    found = []
    for person in people:
        detection = sample_detection(person, size, params, rng)
        lost = rng.random() < (params.person_miss if person.is_visible.sum() >= _FEW_JOINTS else 0.8)
        if not lost and (detection[:, 2] > 0).sum() >= _FEW_JOINTS:
            found.append(detection)
    if people and rng.random() < params.false_person:
        found.append(_sample_false_person(people[0], size, rng))
    return [found[index] for index in rng.permutation(len(found))]


def sample_detection(
    person: TrueJoints, size: tuple[int, int], params: DetectorParams, rng: np.random.Generator
) -> Detection:
    """The detection of a person who is found: x, y, score per joint; three zeros for one missed."""
    n_joints, scale = len(person.pixels), person_size(person.pixels)
    spread = np.where(person.is_visible, params.noise, params.hidden_noise) * OPENPOSE_SIGMA * scale
    error = rng.standard_normal((n_joints, 2)) * spread[:, None]
    is_outlier = rng.random(n_joints) < params.outlier
    error[is_outlier] += rng.standard_normal((int(is_outlier.sum()), 2)) * _OUTLIER * scale
    is_missed = rng.random(n_joints) < np.where(person.is_visible, params.miss, params.hidden_miss)
    is_missed |= ~inside_image(person.pixels, size)
    score = np.where(person.is_visible, rng.normal(0.84, 0.07, n_joints), rng.uniform(0.06, 0.5, n_joints))
    # The score falls with the error, but not reliably.
    score -= rng.uniform(0.0, 0.8, n_joints) * np.linalg.norm(error, axis=1) / scale
    detection = np.concatenate([person.pixels + error, np.clip(score, 0.05, 0.98)[:, None]], axis=1)
    detection[is_missed] = 0.0
    _swap_sides(detection[None], params.swap, rng)
    return detection


def sample_keypoints(
    pixels: Float[np.ndarray, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Float[np.ndarray, "B 49 3"]:
    """Merged keypoints as a file holds them: pixels and confidence, zeros where there is none.

    Args:
        pixels: true places in the crop.
        params: which joints are missing, and the errors of the others.
        rng: generator.
    """
    shape = pixels.shape[:2]
    spread = rng.uniform(*params.noise_px.bounds, (shape[0], 1)) * np.ones(shape)
    spread[:, list(FIT_IGNORED)] *= params.loose_noise
    spread[rng.random(shape[0]) < params.uneven_noise] *= _UNEVEN
    is_outlier = rng.random(shape) < params.outlier
    spread[is_outlier] = _OUTLIER_PX
    error = rng.standard_normal((*shape, 2)) * spread[..., None]
    places = pixels + error
    is_known = _sample_known(places, params, rng)
    _find_less(places, is_known, params, rng)
    error = places - pixels
    # The score falls with the error, but not reliably; annotators give no score.
    score = rng.uniform(0.4, 0.95, shape) - rng.random(shape) * np.linalg.norm(error, axis=-1) / _OUTLIER_PX
    score = np.where(_IS_OPENPOSE, score.clip(0.05, 0.95), 1.0) * is_known
    keypoints = np.concatenate([places * is_known[..., None], score[..., None]], axis=-1)
    _swap_sides(keypoints, params.swap, rng)
    return keypoints


def _find_less(
    places: Float[np.ndarray, "B 49 2"],
    is_known: Bool[np.ndarray, "B 49"],
    params: LifterKeypointsParams,
    rng: np.random.Generator,
) -> None:
    """Make some detections those of detectors with fewer joints than BODY_25, in place."""
    kind = rng.random(len(places))
    has_no_feet, has_midpoints = kind < params.no_feet, kind < params.no_feet + params.midpoints
    for middle, sides in _MIDDLES:
        places[has_midpoints, middle] = places[has_midpoints][:, sides].mean(1)
        is_known[has_midpoints, middle] = is_known[has_midpoints][:, sides].all(1)
    is_known &= ~(has_midpoints[:, None] & _SMALL_TOES) & ~(has_no_feet[:, None] & _FEET)


def _swap_sides(keypoints: Float[np.ndarray, "B J 3"], share: float, rng: np.random.Generator) -> None:
    """Exchange left and right arms, and legs, of a share of the people, in place; BODY_25 comes first."""
    for group in _SWAPPED_TOGETHER:
        people, joints = np.flatnonzero(rng.random(len(keypoints)) < share), np.flatnonzero(group)
        keypoints[np.ix_(people, joints)] = keypoints[np.ix_(people, _FLIP[joints])]


def _sample_false_person(model: TrueJoints, size: tuple[int, int], rng: np.random.Generator) -> Detection:
    """A person where none is: a small, distorted skeleton with low scores."""
    middle = rng.uniform([0.0, 0.0], [size[1], size[0]])
    own = model.pixels.mean(0)
    pixels = (model.pixels - own) * rng.uniform(0.2, 0.6) * rng.choice([-1.0, 1.0], 2) + middle
    pixels = pixels + rng.normal(0, 0.05 * person_size(model.pixels), pixels.shape)
    score = rng.uniform(0.05, 0.35, len(pixels))
    detection = np.concatenate([pixels, score[:, None]], axis=1)
    detection[(rng.random(len(pixels)) < 0.4) | ~inside_image(pixels, size)] = 0.0
    return detection


def _sample_known(
    places: Float[np.ndarray, "B 49 2"], params: LifterKeypointsParams, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    """Which keypoints there are: by source, less those missed, of lost limbs and beyond a border."""
    n = len(places)
    kind = rng.random(n)
    has_openpose = kind >= params.only_annotated
    has_annotated = (kind < params.only_annotated) | (kind >= params.only_annotated + params.only_openpose)
    annotated = _ANNOTATED[rng.integers(len(_ANNOTATED), size=n)] & has_annotated[:, None]
    is_known = np.where(_IS_OPENPOSE, has_openpose[:, None], annotated)
    is_known &= rng.random(is_known.shape) >= rng.uniform(0, params.miss, (n, 1))
    lost = rng.random((n, len(_LIMBS))) < params.lost_limb
    is_known &= ~(lost[:, :, None] & _LIMBS).any(1)
    return is_known & ~_sample_cut_off(places, params.cut_off, rng)


def _sample_cut_off(
    places: Float[np.ndarray, "B 49 2"], share: float, rng: np.random.Generator
) -> Bool[np.ndarray, "B 49"]:
    """Keypoints beyond the image's border, which cuts some people: mostly from below, as photographs do."""
    n = len(places)
    angle = np.where(rng.random(n) < 0.6, np.pi / 2, rng.integers(4, size=n) * np.pi / 2)
    along = places[..., 0] * np.cos(angle)[:, None] + places[..., 1] * np.sin(angle)[:, None]
    low, high = along.min(1, keepdims=True), along.max(1, keepdims=True)
    border = low + rng.uniform(0.35, 0.9, (n, 1)) * (high - low)
    return (rng.random(n) < share)[:, None] & (along > border)
