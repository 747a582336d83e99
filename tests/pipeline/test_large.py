"""The mirrors in large: a fresh project plans them, from the bodies to the report."""

import re

import pytest

pytestmark = pytest.mark.slow


def test_a_fresh_project_plans_the_large_mirrors_down_to_the_report(project_factory, run):
    root = project_factory()
    (root / "dvc.lock").unlink(missing_ok=True)
    run("spinloop", "use_params", "params/large.yaml", cwd=root)
    planned = run("snakemake", "-n", "--quiet", "rules", cwd=root).stdout
    mirrors = ("coco", "h36m", "lsp", "lspet", "mpi_inf_3dhp", "mpii", "pw3d")
    for rule in (*(f"mirror_{name}" for name in mirrors), "train_loop", "report"):
        assert re.search(rf"\b{rule}\b", planned), rule
