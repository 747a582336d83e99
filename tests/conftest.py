"""What all tests share."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The project's root folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs, detections and motion, in the folder that `SPINLOOP_SAMPLES` names."""
    folder = Path(os.environ.get("SPINLOOP_SAMPLES", ""))
    if not os.environ.get("SPINLOOP_SAMPLES") or not folder.is_dir():
        pytest.skip("SPINLOOP_SAMPLES names no folder of real samples")
    return folder


@pytest.fixture(scope="session")
def golden() -> SimpleNamespace:
    """A synthetic body, prior and two people, for which tests hold the results of the published functions.

    The order of the random samples is part of the definition; no array may be changed by a test.
    """
    from spinloop.body.files import BodyFile
    from spinloop.joints import SMPL_PARENTS

    rng = np.random.RandomState(0)
    body = {
        "v_template": 0.3 * rng.randn(6890, 3),
        "shapedirs": 0.01 * rng.randn(6890, 3, 10),
        "posedirs": 0.001 * rng.randn(6890, 3, 207),
        "J_regressor": _golden_regressor(rng, 24, 0),
    }
    weights = rng.rand(6890, 24) ** 8
    body["weights"] = weights / weights.sum(1, keepdims=True)
    body["J_regressor_extra"] = extra = _golden_regressor(rng, 9, 3000)
    body["J_regressor_h36m"] = np.concatenate([extra, extra[:8, ::-1]])  # no published numbers for it
    means, factors, shares = 0.1 * rng.randn(8, 69), 0.1 * rng.randn(8, 69, 69), rng.rand(8)
    pose, betas = 0.2 * rng.randn(2, 72), rng.randn(2, 10)
    confidence = rng.rand(2, 49, 1)
    confidence[:, 25:] = 1
    return SimpleNamespace(
        body=BodyFile(
            **{name: np.float32(array) for name, array in body.items()},
            kintree_table=np.array([SMPL_PARENTS, range(24)], dtype=np.int64),
            f=np.arange(6888)[:, None].astype(np.int32) + np.arange(3, dtype=np.int32),
            part_labels=(np.arange(6888) % 6 + 1).astype(np.uint8),
            gender="neutral",
        ),
        means=means,
        covars=factors @ factors.transpose(0, 2, 1) + 0.05 * np.eye(69),
        weights=shares / shares.sum(),
        pose=np.float32(pose),
        betas=np.float32(betas),
        confidence=confidence,
        keypoint_noise=rng.randn(2, 49, 2),
        pose_noise=0.05 * rng.randn(2, 72),
    )


def _golden_regressor(rng: np.random.RandomState, n_rows: int, first: int) -> np.ndarray:
    rows = rng.rand(n_rows, 6890)
    rows = 0.1 * rows / rows.sum(1, keepdims=True)
    rows[np.arange(n_rows), first + 100 * np.arange(n_rows)] += 0.9
    return rows


@pytest.fixture(scope="session")
def write_jpeg() -> Callable[..., None]:
    """An image file (JPEG or PNG) of random colors: path, height, width, seed."""

    def write(path: Path, height: int, width: int, seed: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))

    return write


@pytest.fixture(scope="session")
def write_video() -> Callable[[Path, list[np.ndarray]], None]:
    """A video of RGB frames."""

    def write(path: Path, frames: list[np.ndarray]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(str(path), code, 25.0, (width, height))
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()

    return write


@pytest.fixture
def write_openpose() -> Callable[[Path, np.ndarray], None]:
    """A file as OpenPose writes it: path, people (P, 25, 3)."""

    def write(path: Path, people: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = [
            {"person_id": [-1], "pose_keypoints_2d": [float(number) for number in person.reshape(-1)]}
            for person in people
        ]
        path.write_text(json.dumps({"version": 1.3, "people": entries}))

    return write


@pytest.fixture
def make_record() -> Callable[..., Any]:
    """A record: its number, image and more fields."""
    from spinloop.tables.records import Record, make_id

    def make(number: int, image: str = "images/a.jpg", **more: Any) -> Any:
        fields = {"image_height": 240, "image_width": 320, "center": np.array([160.0, 120.0]), "scale": 0.6}
        return Record(make_id("tiny", image, number), image, **{**fields, **more}, person=number)

    return make
