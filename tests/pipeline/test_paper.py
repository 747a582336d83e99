"""The paper's configuration on the real datasets: both doors can plan it."""

import re
from pathlib import Path

import pytest

from spinloop.params.loader import load_yaml

pytestmark = pytest.mark.slow


# Of the 16 shards of every split; planning all of them takes longer and shows no more.
FEW = "fit_initial: {shards: [0, 1, 2]}\n"


@pytest.fixture(scope="module")
def paper(project_factory, run) -> Path:
    """A fresh copy of the project with the paper's values, and empty folders where the data would lie."""
    root = project_factory()
    (root / "few.yaml").write_text(FEW)
    for preset in ("params/paper.yaml", "few.yaml"):
        run("spinloop", "use_params", preset, cwd=root)
    for source in load_yaml(root / "params.yaml")["sources"].values():
        for folder in filter(None, (source["raw"], source.get("openpose"))):
            (root / folder).mkdir(parents=True, exist_ok=True)
    return root


def test_snakemake_plans_every_shard_and_training(paper, run):
    planned = run("snakemake", "-n", "--quiet", "rules", cwd=paper).stdout
    fits = [f"fit_initial_{split}_lifted_2" for split in ("h36m_train", "mpi_inf_3dhp_train", "coco_train")]
    tests = "evaluate_loop_pw3d_test"
    for rule in (*fits, "train_static", "train_loop", "train_paired", tests):
        assert re.search(rf"\b{rule}\b", planned), rule


def test_dvc_draws_the_graph_down_to_the_datasets(paper, run):
    drawn = run("dvc", "dag", "--dot", "train@paired", cwd=paper).stdout
    assert '"fit_initial@coco_train-mean-2"' in drawn
    assert '"preprocess@coco_train"' in drawn
