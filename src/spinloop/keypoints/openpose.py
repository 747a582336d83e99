"""OpenPose's BODY_25 detections: reading them, and finding the detected person that is the annotated one."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.joints import COMMON24, LIMB12, N_OPENPOSE, OPENPOSE25, index_map
from spinloop.tables.images import SUFFIXES

_DETECTED_LIMBS = list(index_map(OPENPOSE25, LIMB12))
_ANNOTATED_LIMBS = list(index_map(COMMON24, LIMB12))
# Joints seen from head to foot span 1 / 1.2 of a box; those of a half-hidden person less.
_SMALLEST_EXTENT = 0.5
_CURE = "run OpenPose again with --model_pose BODY_25 --write_json"


def detections_path(folder: Path, image: str) -> Path:
    """The JSON file of an image: its path below `folder`, `_keypoints.json` in place of the suffix.

    Source:
        OpenPose's `--write_json`; SPIN's `datasets/preprocess/read_openpose.py`.
    """
    relative = PurePosixPath(image)
    return folder / relative.with_name(f"{relative.stem}_keypoints.json")


def detections_places(image: str) -> list[str]:
    """Where an image's file may lie in a folder of detections, the first that is there counts.

    At the image's path, or a path below a folder of it: OpenPose puts the files of one `--image_dir` side by
    side. For a frame of a video also beside the video, as `--video` numbers its frames from 0.
    """
    path = PurePosixPath(image)
    own = detections_path(Path(), image).as_posix()
    if path.parent.suffix.lower() not in SUFFIXES:
        parts = PurePosixPath(own).parts
        return ["/".join(parts[start:]) for start in range(len(parts))]
    if not path.stem.isdecimal():
        return [own]
    video = path.parent
    return [own, video.with_name(f"{video.stem}_{int(path.stem) - 1:012d}_keypoints.json").as_posix()]


def read_openpose(path: Path) -> Float[np.ndarray, "P 25 3"] | None:
    """The people that OpenPose found in one image: x, y (px), score in [0, 1]; score 0 where it saw no joint.

    Returns:
        None if there is no such file; no rows if it found nobody.

    Raises:
        UserError: the file is not OpenPose's, or not of its BODY_25 model.
    """
    if not path.is_file():
        return None
    content = read_json(path)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise UserError(f"{path}: people: list missing, so this is no file of OpenPose; {_CURE}")
    found = [_parse(path, index, person) for index, person in enumerate(people)]
    return np.stack(found) if found else np.zeros((0, N_OPENPOSE, 3))


def _parse(path: Path, index: int, person: Any) -> Float[np.ndarray, "25 3"]:
    key = f"people[{index}].pose_keypoints_2d"
    numbers = person.get("pose_keypoints_2d", []) if isinstance(person, dict) else []
    try:
        flat = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        flat = np.zeros(0)
    if flat.shape != (3 * N_OPENPOSE,):
        raise UserError(f"{path}: {key}: expected 75 numbers (BODY_25), found {flat.size}; {_CURE}")
    joints = flat.reshape(N_OPENPOSE, 3)
    score = joints[:, 2]
    if not np.isfinite(joints).all() or score.min() < 0:
        raise UserError(f"{path}: {key}: a number is not finite, or a score is negative; {_CURE}")
    # Scores are network outputs and exceed 1 by a little now and then.
    score = np.minimum(score, 1.0)
    return np.concatenate([joints[:, :2] * (score > 0)[:, None], score[:, None]], axis=1)


def count_limbs(detected: Float[np.ndarray, "25 3"]) -> int:
    """How many of the twelve joints of arms and legs a detected person has."""
    return int((detected[_DETECTED_LIMBS, 2] > 0).sum())


def match_people(
    annotated: Float[np.ndarray, "A 24 3"],
    centers: Float[np.ndarray, "A 2"],
    box_sides: Float[np.ndarray, " A"],
    detected: Float[np.ndarray, "P 25 3"],
    max_distance: float,
    min_common_joints: int,
) -> list[int | None]:
    """Which detected person each annotated person of one image is.

    Compared are the joints of arms and legs that both see, by their mean distance relative to the side of the
    person's box; for a person without annotated joints, the middle of the detected joints with the middle of
    the box. Nobody is given to two people: of all assignments, the one with the smallest sum of distances
    wins, where a person without detection counts as `max_distance`.

    Args:
        annotated: `joints.COMMON24` of the image's annotated people; px, confidence.
        centers: middles of their boxes, px.
        box_sides: sides of their boxes, px.
        detected: `joints.OPENPOSE25`; px, score.
        max_distance: largest distance / side of the box that counts as the same person.
        min_common_joints: joints that both must see, where there are annotated joints.

    Returns:
        A row of `detected` per annotated person, or None where nobody fits.
    """
    has_joints = np.any(annotated[:, :, 2] > 0, axis=1)
    by_joints = _joint_distances(annotated, detected, min_common_joints) / box_sides[:, None]
    by_box = _box_distances(centers, box_sides, detected)
    distance = np.where(has_joints[:, None], by_joints, by_box)
    fits = distance <= max_distance
    matches: list[int | None] = [None] * len(annotated)
    for row, column in zip(*linear_sum_assignment(np.minimum(distance, max_distance)), strict=True):
        if fits[row, column]:
            matches[int(row)] = int(column)
    return matches


def match_as_published(
    annotated: Float[np.ndarray, "24 3"], detected: Float[np.ndarray, "P 25 3"], threshold_px: float
) -> int | None:
    """The detected person that the published preprocessing takes; for re-deriving its files only.

    Only people with all twelve joints compete, person 0 is taken if there is none, and a match that is far
    (relative to the extent of all rows, zeros included) is rejected only if it is also nearer than
    `threshold_px`.

    Source:
        SPIN's `read_openpose.py`, as described in the project's notes; `docs/fidelity.md#openpose-match`.
    """
    if not len(detected):
        return None
    joints = detected[:, _DETECTED_LIMBS]
    gap = np.linalg.norm(joints[..., :2] - annotated[_ANNOTATED_LIMBS, :2], axis=-1).mean(-1)
    distance = np.where((joints[..., 2] > 0).all(-1), gap, np.inf)
    nearest = int(distance.argmin())
    size = float(np.ptp(annotated[:, :2], axis=0).max())
    is_far = distance[nearest] > 0.1 * size
    return None if is_far and distance[nearest] < threshold_px else nearest


def merge_joints(
    annotated: Float[np.ndarray, "24 3"] | None, detected: Float[np.ndarray, "25 3"] | None
) -> Float[np.ndarray, "49 3"]:
    """`joints.MODEL49`: detections and annotations, each with its own score; zeros where there are none."""
    first = np.zeros((N_OPENPOSE, 3)) if detected is None else detected
    second = np.zeros((len(COMMON24), 3)) if annotated is None else annotated
    return np.concatenate([first, second])


def _joint_distances(
    annotated: Float[np.ndarray, "A 24 3"], detected: Float[np.ndarray, "P 25 3"], min_common_joints: int
) -> Float[np.ndarray, "A P"]:
    """Mean distance (px) over the common joints; infinite if there are too few."""
    mine = annotated[:, None, _ANNOTATED_LIMBS]
    theirs = detected[None, :, _DETECTED_LIMBS]
    common: Bool[np.ndarray, "A P 12"] = (mine[..., 2] > 0) & (theirs[..., 2] > 0)
    gap = np.linalg.norm(mine[..., :2] - theirs[..., :2], axis=-1)
    count = common.sum(-1)
    mean = (gap * common).sum(-1) / np.maximum(count, 1)
    return np.where(count >= min_common_joints, mean, np.inf)


def _box_distances(
    centers: Float[np.ndarray, "A 2"], sides: Float[np.ndarray, " A"], detected: Float[np.ndarray, "P 25 3"]
) -> Float[np.ndarray, "A P"]:
    """Distance of the middles / side of the box; infinite where the extents cannot be one person's."""
    seen = detected[:, :, 2:] > 0
    low = np.where(seen, detected[:, :, :2], np.inf).min(axis=1)
    high = np.where(seen, detected[:, :, :2], -np.inf).max(axis=1)
    low, high = (np.where(np.isfinite(corner), corner, 0.0) for corner in (low, high))
    gap = np.linalg.norm(centers[:, None] - (low + high)[None] / 2, axis=-1) / sides[:, None]
    extent = (high - low).max(axis=1)[None] / sides[:, None]
    return np.where((extent >= _SMALLEST_EXTENT) & (extent <= 1), gap, np.inf)
