"""Presets: what they change, and that the result is a whole parameter file."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spinloop.errors import UserError
from spinloop.params.loader import load_section, load_yaml
from spinloop.params.mirror import LabParams
from spinloop.pipeline.configuration import SECTIONS
from spinloop.stages import use_params

REPOSITORY = Path(__file__).parents[2]
LARGE = {
    *(f"mirror_{name}" for name in ("coco", "pw3d", "h36m", "mpi_inf_3dhp", "lsp", "lspet", "mpii")),
    *("sources", "crops", "lifter", "network", "train", "watch", "needs"),
}


@pytest.fixture
def params(tmp_path) -> Path:
    return Path(shutil.copy(REPOSITORY / "params.yaml", tmp_path))


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {at: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{at}.{key}").items()}


def _difference(one: Path, other: Path) -> dict[str, Any]:
    before, after = (_flat(load_yaml(path)) for path in (one, other))
    return {key: value for key, value in after.items() if before.get(key, "absent") != value}


def test_every_section_of_the_papers_configuration_is_read_strictly(params):
    use_params.run(REPOSITORY / "params/paper.yaml", params=params)
    for key, model in SECTIONS.items():
        load_section(params, key, model)


def test_the_paper_leaves_nothing_of_the_mirrors_among_its_sources(params):
    use_params.run(REPOSITORY / "params/paper.yaml", params=params)
    sources, train = (load_yaml(params)[name] for name in ("sources", "train"))
    named = [split for group in train["mixture"] for split in group["splits"]]
    assert set(named) <= set(sources)
    for split in [*named, "pw3d_test"]:
        folders = [sources[split]["raw"], sources[split].get("openpose") or ""]
        assert not [folder for folder in folders if "mirror" in folder], split
    assert [group["probability"] for group in train["mixture"]] == [0.3, 0.6, 0.1]


def test_the_paper_fills_the_dictionary_from_a_pose_lifted_from_2d(params):
    use_params.run(REPOSITORY / "params/paper.yaml", params=params)
    assert load_yaml(params)["fit_initial"]["start"] == "lifted"


def test_the_released_preset_differs_from_the_papers_in_rate_and_iterations(params, tmp_path):
    use_params.run(REPOSITORY / "params/paper.yaml", params=params)
    paper = Path(shutil.copy(params, tmp_path / "paper.yaml"))
    use_params.run(REPOSITORY / "params/released.yaml", params=params)
    assert _difference(paper, params) == {".train.learning_rate": 5e-5, ".fitting.n_iterations": 100}


@pytest.fixture
def large(params) -> dict[str, Any]:
    """The sections that the preset of large mirrors names, read strictly."""
    use_params.run(REPOSITORY / "params/large.yaml", params=params)
    return {key: load_section(params, key, SECTIONS[key]) for key in LARGE}


def test_the_large_mirrors_have_thousands_of_people_for_every_training_split(large):
    assert set(load_yaml(REPOSITORY / "params/large.yaml")) == LARGE
    sources = large["sources"].root
    h36m, mpi = large["mirror_h36m"], large["mirror_mpi_inf_3dhp"].train
    source = sources["h36m_train"]
    takes = len(source.subjects) * h36m.train_actions * len(source.cameras)
    people = {
        "coco": large["mirror_coco"].n_images,
        "lspet": large["mirror_lspet"].n_images,
        "mpii": large["mirror_mpii"].n_images,
        "h36m": takes * len(range(0, h36m.n_frames, source.every)),
        "mpi": len(mpi.subjects) * 2 * len(mpi.views) * mpi.n_frames // sources["mpi_inf_3dhp_train"].every,
    }
    assert min(people.values()) >= 5000, people
    assert large["mirror_lsp"].n_images == 1000


def test_the_large_mirrors_are_filmed_where_their_readers_look(large):
    h36m, mpi = large["mirror_h36m"], large["mirror_mpi_inf_3dhp"].train
    sources = large["sources"].root
    assert sources["h36m_train"].subjects == h36m.train_subjects
    assert sources["h36m_p1"].subjects == h36m.test_subjects
    assert (sources["mpi_inf_3dhp_train"].subjects, sources["mpi_inf_3dhp_train"].views) == (
        mpi.subjects,
        mpi.views,
    )


def test_people_of_the_large_mirrors_are_as_large_as_the_networks_images(large):
    """A standing person of 1.7 m, in the middle of all ranges, in a box 1.2 times as high."""
    sides = {"mpi_test": _box_px(large["mirror_mpi_inf_3dhp"].test)}
    for name in ("coco", "pw3d", "lsp", "lspet", "mpii"):
        sides[name] = _box_px(large[f"mirror_{name}"])
    sides["h36m"] = _lab_box_px(large["mirror_h36m"].lab)
    sides["mpi"] = _lab_box_px(large["mirror_mpi_inf_3dhp"].train.lab)
    assert large["crops"].size_px == large["network"].image_px
    assert min(sides.values()) >= large["crops"].size_px, sides


def _box_px(mirror: Any) -> float:
    return 1.2 * sum(mirror.camera.fill.bounds) / 2 * mirror.picture.short_side_px


def _lab_box_px(lab: LabParams) -> float:
    angle, distance = (sum(span.bounds) / 2 for span in (lab.field_of_view_deg, lab.distance_m))
    return 1.2 * 1.7 / (2 * distance * np.tan(np.deg2rad(angle) / 2)) * lab.side_px


def test_nothing_of_the_mirrors_is_left_in_the_papers_configuration(params):
    use_params.run(REPOSITORY / "params/paper.yaml", params=params)
    values = load_yaml(params)
    named = [
        source[key] for source in values["sources"].values() for key in ("raw", "openpose") if source.get(key)
    ]
    assert [folder for folder in (*named, *values["raw"].values()) if "mirror" in folder] == []
    assert {source["raw"] for source in values["sources"].values()} <= set(values["raw"].values())
    assert values["evaluate"]["dictionaries"] == {}
    assert values["evaluate"]["splits"]


def test_what_a_preset_does_not_name_stays_with_its_comments(params, tmp_path):
    (tmp_path / "preset.yaml").write_text("train: {seed: 7}\nsettings: {both: {loop: true, use_3d: true}}\n")
    before = params.read_text()
    use_params.run(tmp_path / "preset.yaml", params=params)
    after = params.read_text()
    assert load_yaml(params)["train"]["seed"] == 7
    lost = [line for line in before.splitlines() if "#" in line and line.split("#", 1)[1] not in after]
    assert lost == []
    assert set(_difference(REPOSITORY / "params.yaml", params)) == {
        ".train.seed",
        ".settings.both.loop",
        ".settings.both.use_3d",
    }


def test_a_section_that_others_share_changes_only_where_the_preset_names_it(params, tmp_path):
    preset = "mirror_coco: {picture: {blur_px: {high: 3.0}}}\nmirror_lspet: {picture: {long_side_px: 320}}\n"
    (tmp_path / "preset.yaml").write_text(preset + "mirror_lsp: {camera: {roll_std_deg: 9.0}}\n")
    use_params.run(tmp_path / "preset.yaml", params=params)
    assert _difference(REPOSITORY / "params.yaml", params) == {
        ".mirror_coco.picture.blur_px.high": 3.0,
        ".mirror_lspet.picture.long_side_px": 320,
        ".mirror_lsp.camera.roll_std_deg": 9.0,
    }


def test_the_error_of_a_misspelt_preset_lists_the_presets(params, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    before = params.read_bytes()
    for name in ("paprs", "params/paprs.yaml"):
        message = (
            rf"^{name}: no such file; the presets are params/large\.yaml, .*, params/paper\.yaml, params/"
        )
        with pytest.raises(UserError, match=message):
            use_params.run(Path(name), params=Path("params.yaml"))
    with pytest.raises(UserError, match=r"paprs: no such file; check the path"):
        use_params.run(Path("paprs"), params=params)
    assert params.read_bytes() == before


def test_a_misspelt_key_is_refused_and_nothing_changes(params, tmp_path):
    (tmp_path / "preset.yaml").write_text("train: {seed: 1, learning_rat: 1.0}\n")
    before = params.read_bytes()
    with pytest.raises(UserError, match=r"preset\.yaml: train\.learning_rat: params\.yaml has no such key"):
        use_params.run(tmp_path / "preset.yaml", params=params)
    assert params.read_bytes() == before


@pytest.mark.parametrize("is_in_a_project", [True, False])
def test_a_preset_that_some_stage_would_refuse_changes_nothing(params, tmp_path, is_in_a_project):
    if is_in_a_project:
        shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    (tmp_path / "preset.yaml").write_text("train: {seed: 7}\nfitting: {weights: {pose: 4.0}}\n")
    before = params.read_bytes()
    message = (
        r"preset\.yaml: .*params\.yaml is not changed; the result is wrong: .*fitting\.mean_start: .*equal"
    )
    with pytest.raises(UserError, match=message):
        use_params.run(tmp_path / "preset.yaml", params=params)
    assert params.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_what_a_preset_says_is_compared_with_what_it_leaves(params, tmp_path):
    (tmp_path / "preset.yaml").write_text("sources: {lsp_test: {masks: null}}\n")
    with pytest.raises(UserError, match=r"evaluate\.splits\.lsp_test: 'lsp@1' compares masks"):
        use_params.run(tmp_path / "preset.yaml", params=params)
