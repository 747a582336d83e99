"""Tiny datasets in their native formats, written from the format descriptions, not by the package."""

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from spinloop.params.datasets import CocoSource, Pw3dSource

COCO_NAMES = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
]  # fmt: skip


def _joints(rng: np.random.Generator, labels: list[int]) -> list[int]:
    """COCO's flat list; x = y = 0 where the label is 0."""
    flat: list[int] = []
    for label in labels:
        x, y = rng.integers(20, 200, 2)
        flat += [int(x), int(y), label] if label else [0, 0, 0]
    return flat


def _person(
    rng: np.random.Generator, number: int, image: int, labels: list[int], **more: Any
) -> dict[str, Any]:
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [10.5, 20.25, 80.0, 160.5],
        "keypoints": _joints(rng, labels), "num_keypoints": sum(label > 0 for label in labels),
        "segmentation": [[1.0, 2.0, 3.0, 4.0]], "area": 1.0, **more,
    }  # fmt: skip


@pytest.fixture
def coco_tree(tmp_path, write_jpeg) -> Path:
    """COCO 2014: three images of 240 × 320, seven people in an order of no meaning; see the labels."""
    raw = tmp_path / "coco"
    rng = np.random.default_rng(3)
    names = {7: "COCO_train2014_000000000007.jpg", 3: "COCO_train2014_000000000003.jpg", 9: "b.jpg"}
    for seed, name in names.items():
        write_jpeg(raw / "train2014" / name, 240, 320, seed)
    everything = [2] * 17
    hidden_but_labelled = [1] * 17
    upper_body = [2] * 11 + [0] * 6
    face = [2] * 5 + [0] * 12
    people = [
        _person(rng, 50, 7, everything),
        _person(rng, 12, 7, upper_body),
        _person(rng, 31, 3, hidden_but_labelled),
        _person(rng, 90, 3, face),
        _person(rng, 91, 3, [0] * 17),
        _person(rng, 900100, 7, [0] * 17, iscrowd=1, segmentation={"counts": [1, 2], "size": [240, 320]}),
        _person(rng, 92, 9, everything, bbox=[5.0, 5.0, 0.0, 0.0]),
    ]
    size = {"height": 240, "width": 320}
    content = {
        "info": {}, "licenses": [],
        "images": [{"id": key, "file_name": name, **size} for key, name in names.items()],
        "categories": [{"id": 1, "name": "person", "keypoints": COCO_NAMES}],
        "annotations": people,
    }  # fmt: skip
    path = raw / "annotations" / "person_keypoints_train2014.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return raw


@pytest.fixture
def coco_source() -> CocoSource:
    return CocoSource(
        reader="coco", raw="", openpose=None, subset="train2014", box_factor=1.2, min_limb_joints=6
    )


def _sequence(rng: np.random.Generator, name: str, n_frames: int, genders: list[str]) -> dict[str, Any]:
    people = range(len(genders))
    cameras = np.tile(np.eye(4), (n_frames, 1, 1))
    for camera in cameras:
        camera[:3, :3] = cv2.Rodrigues(rng.normal(size=3))[0]
        camera[:3, 3] = rng.normal(size=3)
    joints = [rng.uniform(20, 200, (n_frames, 3, 18)) for _ in people]
    for one in joints:
        one[:, 2] = rng.uniform(0.1, 1, (n_frames, 18))
    return {
        "sequence": name,
        "poses": [rng.normal(size=(n_frames, 72)) for _ in people],
        "betas": [rng.normal(size=10 if person else 300) for person in people],
        "poses2d": joints,
        "cam_poses": cameras,
        "cam_intrinsics": np.eye(3),
        "genders": genders,
        "campose_valid": [np.ones(n_frames, dtype=int) for _ in people],
    }


@pytest.fixture
def pw3d_tree(tmp_path, write_jpeg) -> Path:
    """3DPW's test split: two sequences, one with two people; two frames that cannot be used."""
    raw = tmp_path / "pw3d"
    rng = np.random.default_rng(5)
    walk = _sequence(rng, "walk_00", 4, ["f", "m"])
    walk["campose_valid"][1][2] = 0
    walk["poses2d"][0][3] = 0.0
    bus = _sequence(rng, "bus_01", 2, ["m"])
    for content in (walk, bus):
        path = raw / "sequenceFiles" / "test" / f"{content['sequence']}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content, protocol=2))
        for frame in range(len(content["cam_poses"])):
            image = raw / "imageFiles" / content["sequence"] / f"image_{frame:05d}.jpg"
            write_jpeg(image, 256, 144, frame)
    return raw


@pytest.fixture
def pw3d_source() -> Pw3dSource:
    return Pw3dSource(reader="pw3d", raw="", subset="test", box_factor=1.2)
