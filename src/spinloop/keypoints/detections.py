"""Detections of people in all formats: OpenPose's files, or one file of another detector's COCO joints.

Both give people of `joints.OPENPOSE25` per image. The second is a JSON list with an entry for each detected
person, as COCO's results (Detectron) and RTMPose's exports have it: `keypoints` (51 numbers, or 17 × 3, or
17 × 2 with `keypoint_scores`), and the image as `image_id` (a number that ends the image's name, as in COCO)
or as `file_name` (its path below the dataset's folder, or below the subset's).
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import read_json
from spinloop.joints import COCO17, LIMB12, N_OPENPOSE, OPENPOSE25, index_map
from spinloop.tables.images import SUFFIXES

_DETECTED_LIMBS = list(index_map(OPENPOSE25, LIMB12))
_SHARED = [name for name in COCO17 if name in OPENPOSE25]
_FROM_COCO, _TO_OPENPOSE = list(index_map(COCO17, _SHARED)), list(index_map(OPENPOSE25, _SHARED))
# OpenPose's joints that lie in the middle of two of COCO's.
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_IMAGE_KEYS = ("file_name", "image", "image_name", "image_id")
_FIX_COCO = "write a list of {image_id or file_name, keypoints, score}"

_FIX_OPENPOSE = "run OpenPose again with --model_pose BODY_25 --write_json"

People = Float[np.ndarray, "P 25 3"]


class OpenPoseFolder:
    """OpenPose's files, one for each image, in the places of `detections_places`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image_of: dict[str, str] = {}

    def of(self, image: str) -> People | None:
        """x, y (px), score in [0, 1] of the people of an image; None if the image has no file.

        Raises:
            UserError: the file is damaged, or could as well be that of another image.
        """
        place = self._place_of(image)
        if place is None:
            return None
        other = self._image_of.setdefault(place, image)
        if other != image:
            fix = "put every file at the path of its image"
            raise UserError(f"{self._folder / place}: of {other} or of {image}? {fix}")
        return read_openpose(self._folder / place)

    def for_nobody(self, images: Iterable[str]) -> list[str]:
        """Paths of the files that belong to none of these images, sorted."""
        known = {self._place_of(image) for image in images}
        files = self._folder.rglob("*_keypoints.json")
        return sorted({path.relative_to(self._folder).as_posix() for path in files} - known)

    def mismatch(self, image: str) -> str | None:
        """Which file is there instead of an image's; None if there is no JSON file at all."""
        files = self._folder.rglob("*.json")
        found = min((path.relative_to(self._folder).as_posix() for path in files), default=None)
        wanted = detections_places(image)[0]
        return found and f"{self._folder}: no file of any image: wanted e.g. {wanted}, found e.g. {found}"

    def _place_of(self, image: str) -> str | None:
        return next((place for place in detections_places(image) if (self._folder / place).is_file()), None)


class Coco17File:
    """One file of COCO's 17 joints of everybody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        content = read_json(path)
        if not isinstance(content, list):
            raise UserError(f"{path}: expected a list, found {type(content).__name__}; {_FIX_COCO}")
        people: dict[str, list[Float[np.ndarray, "25 3"]]] = defaultdict(list)
        for index, entry in enumerate(content):
            people[_image_key(path, index, entry)].append(
                openpose_from_coco(_coco_joints(path, index, entry))
            )
        self._people = {key: np.stack(joints) for key, joints in people.items()}

    def of(self, image: str) -> People | None:
        """As `OpenPoseFolder.of`; None if the file does not list the image."""
        key = self._key_of(image)
        return None if key is None else self._people[key]

    def for_nobody(self, images: Iterable[str]) -> list[str]:
        """Names or numbers of the listed images that are none of these, sorted."""
        return sorted(self._people.keys() - {self._key_of(image) for image in images})

    def mismatch(self, image: str) -> str | None:
        """Which image is listed instead; None if the file lists nobody."""
        found = min(self._people, default="").replace("#", "image_id ")
        return (
            f"{self._path}: nobody of any image: wanted e.g. {image}, found e.g. {found}" if found else None
        )

    def _key_of(self, image: str) -> str | None:
        """Under which key the image is listed: its path, a path below a folder of it, or its number."""
        parts = PurePosixPath(image).parts
        keys = ["/".join(parts[start:]) for start in range(len(parts))]
        number = re.search(r"(\d+)$", PurePosixPath(image).stem)
        keys += [f"#{int(number[1])}"] if number else []
        return next((key for key in keys if key in self._people), None)


Detections = OpenPoseFolder | Coco17File
"""Detected people by image."""


def open_detections(path: Path) -> Detections:
    """Detections of a folder (OpenPose) or of a JSON file (COCO's 17 joints).

    Raises:
        UserError: there is neither, or the file is no such list.
    """
    if path.is_dir():
        return OpenPoseFolder(path)
    if path.is_file():
        return Coco17File(path)
    fix = "give OpenPose's output, a JSON file of detections, or an empty folder if there are none"
    raise UserError(f"{path}: no such folder; {fix}")


def openpose_from_coco(joints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "25 3"]:
    """`joints.OPENPOSE25` of COCO's 17 joints: neck and middle of the hips between two, feet not seen.

    Args:
        joints: x, y (px), score; 0 is not seen.

    Returns:
        A middle has the lower score of its two joints, and is seen only if both are.
    """
    found = np.zeros((N_OPENPOSE, 3))
    found[_TO_OPENPOSE] = joints[_FROM_COCO]
    for name, pair in _MIDDLES.items():
        left, right = joints[list(index_map(COCO17, pair))]
        found[OPENPOSE25.index(name)] = [*(left[:2] + right[:2]) / 2, min(left[2], right[2])]
    found[found[:, 2] == 0] = 0.0
    return found


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
        raise UserError(f"{path}: people: list missing, so this is no file of OpenPose; {_FIX_OPENPOSE}")
    found = [_openpose_person(path, index, person) for index, person in enumerate(people)]
    return np.stack(found) if found else np.zeros((0, N_OPENPOSE, 3))


def openpose_json(detections: Sequence[Float[np.ndarray, "25 3"]]) -> dict[str, Any]:
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


def write_openpose(path: Path, detections: Sequence[Float[np.ndarray, "25 3"]]) -> None:
    """Write the file that OpenPose would make of a picture; its folder is made if absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(openpose_json(detections), separators=(",", ":")), encoding="utf-8")


def count_limbs(detected: Float[np.ndarray, "25 3"]) -> int:
    """How many of the twelve joints of arms and legs a detected person has."""
    return int((detected[_DETECTED_LIMBS, 2] > 0).sum())


def _openpose_person(path: Path, index: int, person: Any) -> Float[np.ndarray, "25 3"]:
    key = f"people[{index}].pose_keypoints_2d"
    numbers = person.get("pose_keypoints_2d", []) if isinstance(person, dict) else []
    try:
        flat = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        flat = np.zeros(0)
    if flat.shape != (3 * N_OPENPOSE,):
        raise UserError(f"{path}: {key}: expected 75 numbers (BODY_25), found {flat.size}; {_FIX_OPENPOSE}")
    joints = flat.reshape(N_OPENPOSE, 3)
    score = joints[:, 2]
    if not np.isfinite(joints).all() or score.min() < 0:
        raise UserError(f"{path}: {key}: a number is not finite, or a score is negative; {_FIX_OPENPOSE}")
    # Scores are network outputs and exceed 1 by a little now and then.
    score = np.minimum(score, 1.0)
    return np.concatenate([joints[:, :2] * (score > 0)[:, None], score[:, None]], axis=1)


def _image_key(path: Path, index: int, entry: Any) -> str:
    value = (
        next((entry[key] for key in _IMAGE_KEYS if key in entry), None) if isinstance(entry, dict) else None
    )
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"#{value}"
    raise UserError(f"{path}: entry {index}: image_id or file_name missing, found {value!r}; {_FIX_COCO}")


def _coco_joints(path: Path, index: int, entry: Mapping[str, Any]) -> Float[np.ndarray, "17 3"]:
    try:
        numbers = np.array(entry.get("keypoints", []), dtype=np.float64)
        if numbers.shape == (len(COCO17), 2):
            scores = np.array(entry.get("keypoint_scores", []), dtype=np.float64)
            numbers = np.concatenate([numbers, scores.reshape(len(COCO17), 1)], axis=1)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.size != 3 * len(COCO17) or not np.isfinite(numbers).all():
        found = f"found {numbers.size} or a number that is not finite"
        raise UserError(
            f"{path}: entry {index}: keypoints: expected 51 numbers (x, y, score), {found}; {_FIX_COCO}"
        )
    joints = numbers.reshape(len(COCO17), 3)
    # Scores are outputs of a network; some detectors' exceed 1, or fall below 0, by a little or by far.
    score = np.clip(joints[:, 2:], 0.0, 1.0)
    return np.concatenate([np.where(score > 0, joints[:, :2], 0.0), score], axis=1)
