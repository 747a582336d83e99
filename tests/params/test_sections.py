"""Every section of a parameter file has a model, and the models refuse what would go wrong later."""

from typing import Any

import pytest

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml, parse_section
from spinloop.params.training import TrainParams
from spinloop.pipeline.configuration import SECTIONS


@pytest.fixture
def values(repository) -> dict[str, Any]:
    return load_yaml(repository / "params.yaml")


def train_of(values: dict[str, Any], mixture: list[tuple[str, float]]) -> TrainParams:
    values["train"]["mixture"] = [{"splits": [split], "probability": share} for split, share in mixture]
    return parse_section(values, "train", TrainParams, "params.yaml")


@pytest.mark.parametrize("name", ["params.yaml", "tests/pipeline/params_toy.yaml"])
def test_the_table_has_the_sections_of_the_parameter_file_and_no_others(repository, name):
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


def test_rounding_of_the_chances_is_no_fault(values):
    assert len(train_of(values, [("a", 0.1), ("b", 0.2), ("c", 0.7 - 1e-9)]).mixture) == 3
