"""Random people for the tests of the evaluation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel
from spinloop.evaluation.truth import TrueBodies
from spinloop.joints import SMPL_PARENTS
from spinloop.tables.crops import CropReader


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def people(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true H36M joints of 40 people; predicted ones are rotated, scaled, moved and noisy."""
    annotated = rng.normal(0.0, 0.4, (40, 17, 3))
    predicted = 1.1 * annotated @ np.linalg.qr(rng.normal(size=(3, 3)))[0].T + rng.normal(
        0, 0.08, (40, 17, 3)
    )
    return predicted + rng.normal(0, 2.0, (40, 1, 3)), annotated


@pytest.fixture(scope="session")
def body_files() -> dict[str, BodyFile]:
    """Three random bodies of 60 vertices on SMPL's tree, with proper weights and regressors."""
    return {gender: _random_body(seed, gender) for seed, gender in enumerate(("neutral", "female", "male"))}


@pytest.fixture(scope="session")
def bodies(body_files) -> dict[str, BodyModel]:
    return {gender: BodyModel(body, torch.float32) for gender, body in body_files.items()}


@pytest.fixture
def truth(rng) -> TrueBodies:
    """Twelve people of both genders and one whose gender is not known."""
    genders = [
        "female",
        "male",
        None,
        "male",
        "female",
        "female",
        "male",
        "male",
        "neutral",
        "female",
        "male",
    ]
    ids = [f"toy_test/{name}.jpg#0" for name in "abcdefghijkl"]
    return TrueBodies(ids, rng.normal(0, 0.3, (12, 72)), rng.normal(0, 1.0, (12, 10)), [*genders, "female"])


@pytest.fixture
def write_crops(tmp_path: Path) -> Callable[..., CropReader]:
    """Writes packed crops without loss (PNG), with masks where they are given."""

    def write(
        ids: Sequence[str],
        images: Sequence[np.ndarray],
        masks: Mapping[str, Sequence[np.ndarray | None]] | None = None,
    ) -> CropReader:
        path = tmp_path / f"crops_{len(list(tmp_path.iterdir()))}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())
            file.create_dataset("affine", data=np.tile(np.eye(2, 3), (len(ids), 1, 1)))
            file.attrs.update({"size_px": 32, "margin": 1.0, "is_lossless": True})
            stored = {"image": [image[..., ::-1] for image in images], **(masks or {})}
            for name, pictures in stored.items():
                dataset = file.create_dataset(name, (len(ids),), h5py.vlen_dtype(np.uint8))
                for row, picture in enumerate(pictures):
                    if picture is not None:
                        dataset[row] = cv2.imencode(".png", picture)[1].reshape(-1)
        return CropReader(path)

    return write


def _random_body(seed: int, gender: str) -> BodyFile:
    rng = np.random.default_rng(seed)
    n = 60

    def shares(*shape: int) -> np.ndarray:
        raw = rng.uniform(size=shape) ** 6
        return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)

    return BodyFile(
        v_template=rng.normal(0, 0.5, (n, 3)).astype(np.float32),
        shapedirs=rng.normal(0, 0.02, (n, 3, 10)).astype(np.float32),
        posedirs=rng.normal(0, 0.002, (n, 3, 207)).astype(np.float32),
        J_regressor=shares(24, n),
        weights=shares(n, 24),
        kintree_table=np.array([SMPL_PARENTS, range(24)]),
        f=rng.integers(0, n, (80, 3)).astype(np.int32),
        J_regressor_extra=shares(9, n),
        J_regressor_h36m=shares(17, n),
        part_labels=np.ones(80, np.uint8),
        gender=gender,
    )
