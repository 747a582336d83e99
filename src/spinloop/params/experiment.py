"""The plan of an experiment: trainings that differ in a few values, each with several seeds."""

from typing import Annotated, Any

from pydantic import Field

from spinloop.params.loader import Section


class Experiment(Section):
    """A file of its own, beside the results."""

    description: str
    """What is to be found out."""
    base: dict[str, Any]
    """Values laid over params.yaml in all trainings."""
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    """Values laid over those, by the name of the variant; each has the setting `experiment`."""
    baseline: str
    """The variant that the others are compared with."""
    seeds: Annotated[list[int], Field(min_length=1)]
    """Every variant is trained with each of them (`train.seed`)."""
    train_splits: Annotated[list[str], Field(min_length=1)]
    """Splits of the mixture whose fits are measured, since their truth is known."""
    test_splits: Annotated[list[str], Field(min_length=1)]
    """Where the networks are measured."""
