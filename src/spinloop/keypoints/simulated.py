"""Which joints of a person a picture shows.

How far from a joint people put their marks, and how large a person is on a picture.

What a 2D pose detector reports: OpenPose's BODY_25 with its noise, its misses and its mistakes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from spinloop.joints import COCO17, COMMON24, MODEL49, OPENPOSE25, JointSet, flip_permutation, index_map
from spinloop.params.mirror import DetectorParams

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


Detection = Float[np.ndarray, "25 3"]

_FLIP = np.array(flip_permutation(OPENPOSE25))
_ARMS = np.array([any(word in name for word in ("shoulder", "elbow", "wrist")) for name in OPENPOSE25])
_LEGS = np.array([any(w in name for w in ("hip", "knee", "ankle", "toe", "heel")) for name in OPENPOSE25])
# Somebody who shows fewer joints than this is as good as hidden from the detector.
_FEW_JOINTS = 4


class Seen(NamedTuple):
    """A person as the detector meets them."""

    pixels: Float[np.ndarray, "25 2"]
    """True projections of the `OPENPOSE25` joints."""
    is_visible: Bool[np.ndarray, " 25"]


def detect(
    people: Sequence[Seen], size: tuple[int, int], params: DetectorParams, rng: np.random.Generator
) -> list[Detection]:
    """Detections of a picture, in no particular order.

    Args:
        people: everybody on it.
        size: its height and width.
        params: the detector's faults.
        rng: generator.

    Returns:
        x, y (px) and score per joint and person found; three zeros for a joint that was not found.
    """
    found = []
    for seen in people:
        detection = detect_person(seen, size, params, rng)
        lost = rng.random() < (params.person_miss if seen.is_visible.sum() >= _FEW_JOINTS else 0.8)
        if not lost and (detection[:, 2] > 0).sum() >= _FEW_JOINTS:
            found.append(detection)
    if people and rng.random() < params.false_person:
        found.append(_ghost(people[0], size, rng))
    return [found[index] for index in rng.permutation(len(found))]


def openpose_json(detections: Sequence[Detection]) -> dict[str, Any]:
    """The content of a file that OpenPose 1.3 would write."""
    empty = ("face", "hand_left", "hand_right")
    people = []
    for detection in detections:
        flat = [round(float(value), 3) for value in detection.reshape(-1)]
        lists: dict[str, Any] = {"person_id": [-1], "pose_keypoints_2d": flat}
        lists |= {f"{part}_keypoints_2d": [] for part in empty}
        lists |= {f"{part}_keypoints_3d": [] for part in ("pose", *empty)}
        people.append(lists)
    return {"version": 1.3, "people": people}


def write_openpose(path: Path, detections: Sequence[Detection]) -> None:
    """Write the file that OpenPose would make of a picture; its folder is made if absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(openpose_json(detections), separators=(",", ":")), encoding="utf-8")


def detect_person(
    seen: Seen, size: tuple[int, int], params: DetectorParams, rng: np.random.Generator
) -> Detection:
    """The detection of a person who is found: x, y, score per joint; three zeros for one missed."""
    n_joints, scale = len(seen.pixels), person_size(seen.pixels)
    spread = np.where(seen.is_visible, params.noise, params.hidden_noise) * OPENPOSE_SIGMA * scale
    error = rng.standard_normal((n_joints, 2)) * spread[:, None]
    thrown = rng.random(n_joints) < params.outlier
    error[thrown] += rng.standard_normal((int(thrown.sum()), 2)) * 0.25 * scale
    missed = rng.random(n_joints) < np.where(seen.is_visible, params.miss, params.hidden_miss)
    missed |= ~inside_image(seen.pixels, size)
    score = np.where(seen.is_visible, rng.normal(0.84, 0.07, n_joints), rng.uniform(0.06, 0.5, n_joints))
    # A detector half knows when it is wrong: the score falls with the error, but not surely.
    score -= rng.uniform(0.0, 0.8, n_joints) * np.linalg.norm(error, axis=1) / scale
    detection = np.concatenate([seen.pixels + error, np.clip(score, 0.05, 0.98)[:, None]], axis=1)
    detection[missed] = 0.0
    for group in (_ARMS, _LEGS):
        if rng.random() < params.swap:
            detection[group] = detection[_FLIP][group]
    return detection


def _ghost(model: Seen, size: tuple[int, int], rng: np.random.Generator) -> Detection:
    """A person where none is: a small, torn skeleton with low scores."""
    middle = rng.uniform([0.0, 0.0], [size[1], size[0]])
    own = model.pixels.mean(0)
    pixels = (model.pixels - own) * rng.uniform(0.2, 0.6) * rng.choice([-1.0, 1.0], 2) + middle
    pixels = pixels + rng.normal(0, 0.05 * person_size(model.pixels), pixels.shape)
    score = rng.uniform(0.05, 0.35, len(pixels))
    detection = np.concatenate([pixels, score[:, None]], axis=1)
    detection[(rng.random(len(pixels)) < 0.4) | ~inside_image(pixels, size)] = 0.0
    return detection
