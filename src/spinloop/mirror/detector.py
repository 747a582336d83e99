"""What a 2D pose detector reports: OpenPose's BODY_25 with its noise, its misses and its mistakes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import OPENPOSE25, mirror_permutation
from spinloop.mirror.annotator import OPENPOSE_SIGMA, person_size
from spinloop.mirror.visibility import inside_image
from spinloop.params.mirror import DetectorParams

Detection = Float[np.ndarray, "25 3"]

_MIRROR = np.array(mirror_permutation(OPENPOSE25))
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
            detection[group] = detection[_MIRROR][group]
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
