"""What all tests share."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The project's root folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs, detections and motion that lie beside the checkout where they are available."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real sample data (../shared/data) is not beside this checkout")
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
