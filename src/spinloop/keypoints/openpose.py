"""Files in OpenPose's own form: where they stand, and writing them."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

ENDING = "_keypoints.json"


def detections_path(folder: Path, image: str) -> Path:
    """The JSON file of an image: its path below `folder`, `_keypoints.json` in place of the suffix.

    Source:
        OpenPose's `--write_json`; SPIN's `datasets/preprocess/read_openpose.py`.
    """
    relative = PurePosixPath(image)
    return folder / relative.with_name(f"{relative.stem}{ENDING}")


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
