"""Sections `evaluate` and `report`: how errors are measured and what the report shows.

The plan of an experiment: trainings that differ in a few values, each with several seeds.
"""

from typing import Annotated, Any, TypedDict

from pydantic import Field

from spinloop.errors import UserError
from spinloop.params.loader import Count, Section, Share


class Bootstrap(TypedDict):
    """How intervals are made, see `evaluation.summaries`."""

    confidence: float
    n_resamples: int
    seed: int


class EvaluateParams(Section):
    """Measuring of predictions and fits."""

    splits: dict[str, str]
    """Test split → name and version of its protocol, see `docs/protocols.md`."""
    dictionaries: dict[str, str]
    """Training split whose true bodies are known (a mirror) → protocol by which its fits are measured."""
    batch_size: Count
    """People at once; changes nothing but time and memory, beyond rounding."""
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """Probability that the reported intervals hold."""
    bootstrap_resamples: Count
    """Draws of the bootstrap behind the intervals."""
    bootstrap_seed: Annotated[int, Field(ge=0)]
    """Seed of those draws."""

    def protocol_of(self, split: str) -> str:
        """The protocol of a test split.

        Raises:
            UserError: it has none.
        """
        return _named(self.splits, "splits", split)

    def dictionary_protocol(self, split: str) -> str:
        """The protocol by which the fits of a training split are measured.

        Raises:
            UserError: it has none.
        """
        return _named(self.dictionaries, "dictionaries", split)

    @property
    def numbers(self) -> dict[str, Any]:
        """All that every measurement depends on, besides its protocol."""
        return self.model_dump(exclude={"splits", "dictionaries"})

    @property
    def bootstrap(self) -> "Bootstrap":
        """The keyword arguments of every interval."""
        return {
            "confidence": self.confidence,
            "n_resamples": self.bootstrap_resamples,
            "seed": self.bootstrap_seed,
        }


def _named(protocols: dict[str, str], key: str, split: str) -> str:
    if split not in protocols:
        known = f"give one of {', '.join(protocols)}, or " if protocols else ""
        raise UserError(
            f"params.yaml: evaluate.{key}.{split}: missing; {known}add it with the name of a protocol"
        )
    return protocols[split]


class ReportParams(Section):
    """Choices of the report."""

    tile_px: Annotated[int, Field(ge=64)]
    """Side of each picture of a person."""
    fit_quantiles: list[Share]
    """People shown before and after training, by the rank of their fit's change: 0 is the greatest
    improvement, 1 the greatest loss."""
    prediction_quantiles: list[Share]
    """Test images shown, by the rank of the last setting's error: 0 is the least error, 1 the worst."""
    step_quantiles: list[Share]
    """Test images on which one step of the loop is shown, by the rank of the change from network to fit."""
    viewer_quantiles: list[Share]
    """People of the first test split in the 3D viewer, by the rank of the last setting's error."""
    n_worst: Count
    """Worst predictions shown of each test split."""


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
