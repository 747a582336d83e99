"""A small world for the stages that fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinloop.body.files import save_body
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.lifting.network import N_OUTPUTS, Lifter, save_lifter
from spinloop.motion.mixture import Mixture, save_mixture
from spinloop.params.fitting import LifterNetworkParams
from spinloop.tables.table import save_table


@pytest.fixture(scope="session")
def world(golden, repository, tmp_path_factory):
    """A folder with a body, a prior, a lifter, keypoints of five people and the project's parameters."""
    folder = tmp_path_factory.mktemp("world")
    extra = golden.body.J_regressor_extra
    body = replace(
        golden.body,
        posedirs=np.zeros_like(golden.body.posedirs),
        J_regressor_h36m=np.concatenate([extra, extra[:8]]),
        f=np.arange(60).reshape(-1, 3).astype(np.int32),  # few: those of random points are huge
        part_labels=np.ones(20, dtype=np.uint8),
    )
    save_body(folder / "body.npz", body)
    save_mixture(folder / "prior.npz", Mixture(golden.means, golden.covars, golden.weights), {})
    sizes = LifterNetworkParams(width=8, n_blocks=1)
    mean = torch.tensor([1.0, 0, 0, 1, 0, 0] * 24 + [0.0] * 10 + [0.8, 0, 0])
    assert len(mean) == N_OUTPUTS
    save_lifter(folder / "lifter.pt", Lifter(sizes, mean, torch.Generator().manual_seed(0)), sizes)
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(20, 200, (5, 49, 2)), np.ones((5, 49, 1))], axis=-1)
    np.savez(folder / "own.npz", keypoints=keypoints)
    common = {"center": np.array([112.0, 112.0]), "scale": 1.12, "provenance": "matched"}
    rows = [{"id": f"toy/{n}.jpg#0", "keypoints": k, **common} for n, k in enumerate(keypoints)]
    save_table(folder / "keypoints.parquet", KEYPOINTS, rows)
    text = (repository / "params.yaml").read_text()
    for old, new in (("batch_size: 512", "batch_size: 2"), ("shards: [0]", "shards: [0, 1]")):
        assert old in text
        text = text.replace(old, new)
    (folder / "params.yaml").write_text(text)
    return folder
