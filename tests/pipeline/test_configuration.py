"""A mistake in params.yaml shows when the pipeline is read, not when the stage that it concerns starts."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml
from spinloop.pipeline.configuration import check_project, check_values

Edit = Callable[[dict[str, Any]], Any]

MISTAKES: dict[str, tuple[Edit, str]] = {
    "an unknown key": (
        lambda values: values["train"].update(learning_rat=1.0),
        r"train\.learning_rat: unknown key; remove it or correct its spelling",
    ),
    "an unknown section": (
        lambda values: values.update(trian={}),
        "trian: no stage reads such a section; remove it or correct its spelling",
    ),
    "no such section": (
        lambda values: values.pop("report"),
        r"report: section missing; copy it from the project's params\.yaml",
    ),
    "a wrong type": (
        lambda values: values["watch"].update(sheet_every="often"),
        r"watch\.sheet_every: .*'often'",
    ),
    "a mixture that does not add up": (
        lambda values: values["train"]["mixture"].pop(),
        r"train\.mixture: the probabilities sum to 0\.9; make them sum to 1",
    ),
    "a mixture of what is no source": (
        lambda values: values["train"]["mixture"][0].update(splits=["h36m"]),
        r"train\.mixture: h36m: no such source; add it to sources or take it out",
    ),
    "a mixture of what is not fitted": (
        lambda values: values["train"]["mixture"][0].update(splits=["pw3d_test"]),
        r"train\.mixture: pw3d_test: dvc\.yaml makes no fits of it; .*vars\.training and to merge",
    ),
    "a protocol that there is not": (
        lambda values: values["evaluate"]["splits"].update(pw3d_test="pw3d@9"),
        r"evaluate\.splits\.pw3d_test: 'pw3d@9' is unknown; choose one of .*pw3d@1",
    ),
    "a protocol for masks that there are not": (
        lambda values: values["sources"]["lsp_test"].update(masks=None),
        r"evaluate\.splits\.lsp_test: 'lsp@1' compares masks, .*sources\.lsp_test\.masks",
    ),
    "a test of what is no source": (
        lambda values: values["evaluate"]["splits"].update(mine="pw3d@1"),
        r"evaluate\.splits\.mine: no such source; add it to sources or take it out",
    ),
    "a dictionary measured with masks": (
        lambda values: values["evaluate"]["dictionaries"].update(coco_train="lsp@1"),
        r"evaluate\.dictionaries\.coco_train: 'lsp@1' measures masks, not joints; choose",
    ),
    "a dictionary of what is not trained on": (
        lambda values: values["evaluate"]["dictionaries"].update(pw3d_test="pw3d@1"),
        r"evaluate\.dictionaries\.pw3d_test: nothing is trained on it; name it in train\.mixture",
    ),
    "a setting of nothing": (
        lambda values: values["settings"].update(more=None),
        r"settings\.more: expected keys with values, got None",
    ),
    "no setting": (lambda values: values.update(settings={}), "settings: .*at least 1 item"),
    "SMPL without a folder": (
        lambda values: values["body"].update(source="smpl"),
        r"body\.smpl_folder: missing; name the folder of the SMPL files",
    ),
    "a test whose images are packed with loss": (
        lambda values: values["sources"]["pw3d_test"].pop("lossless"),
        r"evaluate\.splits\.pw3d_test: its images are measured; set sources\.pw3d_test\.lossless: true",
    ),
    "crops too small for the rotation": (
        lambda values: values["train"]["augmentation"].update(rotation_deg=30.0, scale=0.25),
        r"crops\.margin: 1\.51 leaves black corners in .* ±60° and zooms out to 1\.25; make it 1\.77 or more",
    ),
    "crops smaller than the network's image": (
        lambda values: values["network"].update(image_px=112),
        r"crops\.size_px: 96 is less than network\.image_px; make it 112 or more",
    ),
    "needs of no stage": (
        lambda values: values["needs"].update(trian={"gpu": 1}),
        r"needs\.trian: no such stage; correct its name",
    ),
    "needs of nothing": (
        lambda values: values["needs"].update(train={"runtime": 0}),
        r"needs\.train\.runtime: .* 0",
    ),
}


@pytest.fixture
def values(repository) -> dict[str, Any]:
    return load_yaml(repository / "params.yaml")


@pytest.fixture
def params(tmp_path, repository) -> Path:
    """Where a parameter file would stand, beside the pipeline."""
    (tmp_path / "dvc.yaml").write_bytes((repository / "dvc.yaml").read_bytes())
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line_with_file_key_and_fix(mistake, values, params):
    edit, message = MISTAKES[mistake]
    edit(values)
    with pytest.raises(UserError, match=rf"params\.yaml: {message}") as caught:
        check_values(values, params)
    assert "\n" not in str(caught.value)


def test_mistakes_in_several_sections_are_told_at_once(values, params):
    for mistake in ("an unknown key", "a wrong type", "an unknown section"):
        MISTAKES[mistake][0](values)
    with pytest.raises(UserError, match=r"train\.learning_rat.*trian.*watch\.sheet_every"):
        check_values(values, params)


@pytest.mark.parametrize("name", ["params.yaml", "tests/pipeline/params_toy.yaml"])
def test_the_projects_own_parameters_are_right(repository, params, name):
    check_values(load_yaml(repository / name), params)
    check_project(repository)


def test_a_section_that_dvc_alone_reads_may_be_ones_own_and_may_not_be_missing(values, params):
    stage = 'foreach: ${folders.mine}\n    do: {cmd: fit, params: [fitting], deps: ["${item}"]}'
    params.with_name("dvc.yaml").write_text(f"stages:\n  fit:\n    {stage}\n")
    check_values({"fitting": values["fitting"], "folders": {"mine": []}}, params)
    with pytest.raises(UserError, match="folders: section missing"):
        check_values({"fitting": values["fitting"]}, params)


def test_a_split_that_is_fitted_and_not_merged_is_named(values, params):
    text = params.with_name("dvc.yaml").read_text()
    params.with_name("dvc.yaml").write_text(text.replace("training: [h36m_train,", "training: [mine,"))
    with pytest.raises(UserError, match=r"dvc\.yaml: vars\.training: mine: name it under merge, too"):
        check_values(values, params)


def test_what_no_stage_reads_any_more_may_go(values, params):
    params.with_name("dvc.yaml").write_text(
        "stages:\n  fit:\n    cmd: spinloop fit\n    params: [fitting, own.key]\n"
    )
    kept = {"fitting": values["fitting"], "own": {"key": 1}}
    check_values(kept, params)
    with pytest.raises(UserError, match="own: section missing"):
        check_values({"fitting": values["fitting"]}, params)


@pytest.mark.parametrize("text", ["stages: null", "stages: {fit: null, train: []}", "vars: []"])
def test_a_pipeline_that_is_none_is_left_to_dvc(values, params, text):
    params.with_name("dvc.yaml").write_text(text)
    check_values(values, params)


def test_another_projects_parameters_are_its_own_affair(small_project):
    check_project(small_project)
    (small_project / "params.yaml").unlink()
    check_project(small_project)


@pytest.mark.parametrize("command", [("snakemake", "-n"), ("spinloop", "status")])
def test_both_runners_say_so_before_anything_runs(project, values, run, command):
    params = project / "params.yaml"
    before = params.read_text()
    values["evaluate"]["splits"]["pw3d_test"] = "pw3d@9"
    YAML().dump(values, params)
    done = run(*command, cwd=project, check=False)
    params.write_text(before)
    assert done.returncode != 0
    assert "params.yaml: evaluate.splits.pw3d_test: 'pw3d@9' is unknown; choose one of" in done.stdout
    assert "Traceback" not in done.stdout


def test_reading_the_pipeline_does_not_load_pytorch():
    """Every job on a cluster reads it before its stage starts."""
    modules = ("pipeline.configuration", "pipeline.dag", "locks", "pipeline.user_files")
    program = "".join(f"import spinloop.{name}\n" for name in modules)
    program += "import sys\nprint([name for name in ('torch', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
