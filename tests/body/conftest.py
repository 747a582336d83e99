"""A body of random numbers in SMPL's shapes, and files as users of SMPL have them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.joints import EXTRA9, H36M17, SMPL24, SMPL_PARENTS


@pytest.fixture(scope="session")
def random_body(golden) -> BodyFile:
    """The body of the golden case."""
    return golden.body


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class SmplFolder(NamedTuple):
    """Arrays with SMPL's shapes and a human's proportions, and SPIN's files that belong to them."""

    arrays: dict[str, np.ndarray]
    regressors: Path


# Where SMPL's joints roughly stand in the T-pose (left side and midline), metres.
_PLACES = {
    "pelvis": (0, 0, 0), "spine1": (0, 0.11, 0), "spine2": (0, 0.25, 0), "spine3": (0, 0.3, 0),
    "neck": (0, 0.5, 0), "head": (0, 0.6, 0.05), "left_hip": (0.06, -0.09, 0), "left_knee": (0.11, -0.47, 0),
    "left_ankle": (0.09, -0.87, -0.03), "left_foot": (0.12, -0.93, 0.1), "left_collar": (0.08, 0.41, 0),
    "left_shoulder": (0.18, 0.44, 0), "left_elbow": (0.45, 0.43, 0), "left_wrist": (0.7, 0.44, 0),
    "left_hand": (0.78, 0.43, 0),
}  # fmt: skip
_MIDLINE = {
    "pelvis_mpii": 0.0, "spine": 0.2, "spine_h36m": 0.2, "thorax_mpii": 0.45, "neck_lsp": 0.48, "neck": 0.46,
    "jaw": 0.55, "jaw_h36m": 0.55, "head": 0.65, "head_h36m": 0.65, "head_top_lsp": 0.78,
}  # fmt: skip


def _place(name: str) -> np.ndarray:
    plain = name.removeprefix("extra_")
    if plain in _MIDLINE:
        return np.array([0, _MIDLINE[plain], 0])
    if plain.startswith("right_"):
        return np.array(_PLACES[plain.replace("right", "left")]) * [-1, 1, 1]
    return np.array(_PLACES[plain], dtype=float)


def _one_hot(first: int, n_rows: int) -> np.ndarray:
    return np.eye(n_rows, 6890, k=first)


@pytest.fixture(scope="session")
def smpl_folder(tmp_path_factory: pytest.TempPathFactory) -> SmplFolder:
    """Each joint is one vertex at its place: rows 0–23 SMPL's, 24–32 the extra ones, 33–49 Human3.6M's."""
    rng = np.random.default_rng(0)
    template = 0.3 * rng.normal(size=(6890, 3))
    template[:50] = [_place(name) for name in (*SMPL24, *EXTRA9, *H36M17)]
    table = np.array([SMPL_PARENTS, range(24)])
    table[0, 0] = 2**32 - 1
    arrays = {
        "v_template": template,
        "shapedirs": 0.01 * rng.normal(size=(6890, 3, 10)),
        "posedirs": np.zeros((6890, 3, 207), np.float32),
        "J_regressor": _one_hot(0, 24),
        "weights": rng.dirichlet(np.ones(24), size=6890),
        "kintree_table": table.astype(np.uint32),
        "f": rng.integers(0, 6890, (13776, 3)).astype(np.uint32),
    }
    folder = tmp_path_factory.mktemp("spin")
    np.save(folder / "J_regressor_extra.npy", _one_hot(24, 9))
    np.save(folder / "J_regressor_h36m.npy", _one_hot(33, 17))
    parts = np.arange(13776) % 6
    colors = np.zeros((13776, 3), np.float32)
    colors[:, 0] = (parts + 0.5) / 100
    colors[:, 1] = 0.305
    np.save(folder / "vertex_texture.npy", np.tile(colors[None, :, None, None, None], (1, 1, 2, 2, 2, 1)))
    cube = np.zeros((100, 92, 17))
    cube[:6, 30, 0] = np.arange(1, 7)
    np.save(folder / "cube_parts.npy", cube)
    return SmplFolder(arrays, folder)
