"""Every section of a parameter file has a model, and the models refuse what would go wrong later."""

from typing import Any

import pytest

from spinloop.errors import UserError
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_yaml, parse_section
from spinloop.params.mirror import CocoParams
from spinloop.params.training import TrainParams
from spinloop.pipeline.configuration import SECTIONS


@pytest.fixture
def values(repository) -> dict[str, Any]:
    return load_yaml(repository / "params.yaml")


def train_of(values: dict[str, Any], mixture: list[tuple[str, float]]) -> TrainParams:
    values["train"]["mixture"] = [{"splits": [split], "probability": share} for split, share in mixture]
    return parse_section(values, "train", TrainParams, "params.yaml")


@pytest.mark.parametrize("name", ["params.yaml", "tests/pipeline/params_toy.yaml"])
def test_every_section_of_the_parameter_files_has_a_model(repository, name):
    values = load_yaml(repository / name)
    assert list(values) == list(SECTIONS)
    for key, model in SECTIONS.items():
        parse_section(values, key, model, name)


def test_splits_are_named_in_the_order_of_the_mixture(values):
    assert train_of(values, [("b", 0.25), ("a", 0.75)]).splits == ["b", "a"]


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ([], "sum to 0; make them sum to 1"),
        ([("a", 0.5)], "sum to 0.5; make them sum to 1"),
        ([("a", 0.5), ("a", 0.5)], "a is named twice; name each split once"),
    ],
)
def test_a_mixture_that_does_not_add_up_is_refused(values, mixture, message):
    with pytest.raises(UserError, match=rf"^params\.yaml: train\.mixture: .*{message}$"):
        train_of(values, mixture)


def test_probabilities_may_be_rounded(values):
    assert len(train_of(values, [("a", 0.1), ("b", 0.2), ("c", 0.7 - 1e-9)]).mixture) == 3


@pytest.mark.parametrize("term", ["pose", "angle", "shape"])
def test_the_last_stage_from_the_mean_pose_has_the_weights_of_the_objective(values, term):
    values["fitting"]["mean_start"]["stages"][-1][term] *= 2
    with pytest.raises(UserError, match=r"fitting\.mean_start: the last of stages .*; make them equal"):
        parse_section(values, "fitting", FittingParams, "params.yaml")
    values["fitting"]["weights"][term] *= 2
    fitting = parse_section(values, "fitting", FittingParams, "params.yaml")
    assert (
        fitting.mean_start.stages[-1].model_dump(exclude={"n_iterations", "anchor_weight"})
        == fitting.weights.model_dump()
    )


def test_bounds_in_the_wrong_order_are_named(values):
    values["mirror_coco"]["camera"]["height_m"] = {"low": 2.7, "high": 1.9}
    with pytest.raises(UserError, match=r"mirror_coco\.camera\.height_m: .*low \(2\.7\)"):
        parse_section(values, "mirror_coco", CocoParams, "params.yaml")


def test_a_split_without_a_protocol_is_refused_with_the_splits_that_have_one(values):
    section = parse_section(values, "evaluate", EvaluateParams, "params.yaml")
    message = r"evaluate\.splits\.pw3d_tset: missing; give one of .*pw3d_test.*, or add it"
    with pytest.raises(UserError, match=message):
        section.protocol_of("pw3d_tset")
