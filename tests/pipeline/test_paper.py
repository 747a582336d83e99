"""The paper's configuration on the real datasets: both runners can plan it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spinloop.params.loader import load_yaml

pytestmark = pytest.mark.slow


# Of the 16 shards of every split; planning all of them takes longer and shows no more.
FEW = "fit_initial: {shards: [0, 1, 2]}\n"

# Of the user's files those that no stage has among its deps.
UNWATCHED = ("body.smpl_folder: data/raw/smpl", "train.initial.backbone: data/raw/weights/resnet50.pth")


COUNTED = "reports/statistics/preprocess_coco_train.json"


@pytest.fixture(scope="module")
def paper(project_factory, run) -> Path:
    """A fresh copy of the project with the paper's values, and empty folders where the data would lie."""
    root = project_factory()
    (root / "dvc.lock").unlink(missing_ok=True)
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
    assert '"fit_initial@coco_train-lifted-2"' in drawn
    assert '"preprocess@coco_train"' in drawn


@pytest.fixture
def without_data(paper) -> Iterator[Path]:
    """The same without those folders, for a while."""
    (paper / "data/raw").rename(paper / "data/elsewhere")
    yield paper
    (paper / "data/elsewhere").rename(paper / "data/raw")


def test_a_plan_without_data_lists_all_that_is_missing_before_snakemake_names_one(without_data, run):
    done = run("snakemake", "-n", "--quiet", "rules", cwd=without_data, check=False)
    assert done.returncode != 0
    listed = done.stdout.split("MissingInputException")[0]
    for line in ("sources.coco_train.raw: data/raw/coco", "sources.pw3d_test.raw: data/raw/3dpw", *UNWATCHED):
        assert line in listed


def test_a_run_that_would_miss_files_later_is_refused_before_its_first_stage(paper, run):
    done = run("snakemake", cwd=paper, check=False)
    assert done.returncode != 0
    for line in UNWATCHED:
        assert line in done.stdout.split("WorkflowError")[1]
    assert set(load_yaml(paper / "dvc.lock")["stages"]) == {"list_code"}  # by which staleness is decided
    assert not (paper / "data/prior").exists()


def test_a_table_of_other_data_does_not_stand_for_data_that_are_missing(paper, run):
    """Snakemake would leave out the stage that lacks its input, and go on with the table."""
    made = [paper / name for name in ("data/annotations/coco_train.parquet", COUNTED)]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of an earlier run")
    (paper / "data/raw/coco").rename(paper / "data/away")
    done = run("snakemake", "data/keypoints/coco_train.parquet", cwd=paper, check=False)
    (paper / "data/away").rename(paper / "data/raw/coco")
    for path in made:
        path.unlink()
    assert done.returncode != 0
    assert "sources.coco_train.raw: data/raw/coco" in done.stdout.split("WorkflowError")[1]


def test_what_needs_none_of_them_runs(paper, run):
    run("snakemake", "data/prior/mixture.npz", cwd=paper)
    assert (paper / "data/prior/mixture.npz").is_file()
