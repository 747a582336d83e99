"""Sections `evaluate` and `report`, and the plan of an experiment with variants and seeds."""

from typing import Annotated, Any, TypedDict

from pydantic import Field

from spinloop.errors import UserError
from spinloop.params.loader import Count, Section, Share


class Bootstrap(TypedDict):
    """Arguments of a bootstrap interval, see `evaluation.summaries`."""

    confidence: float
    n_resamples: int
    seed: int


class EvaluateParams(Section):
    """Measurement of predictions and fits (section `evaluate`)."""

    splits: dict[str, str]
    """Test split → name and version of its protocol, see `docs/protocols.md`."""
    dictionaries: dict[str, str]
    """Training split whose true bodies are known (a mirror) → protocol by which its fits are measured."""
    batch_size: Count
    """People per batch; results differ by rounding only."""
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """Confidence of the reported intervals."""
    bootstrap_resamples: Count
    """Number of bootstrap resamples."""
    bootstrap_seed: Annotated[int, Field(ge=0)]
    """Seed of the resamples."""

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
        """Parameters that every measurement depends on, besides its protocol."""
        return self.model_dump(exclude={"splits", "dictionaries"})

    @property
    def bootstrap(self) -> "Bootstrap":
        """Keyword arguments of every interval."""
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
    """What the report shows (section `report`)."""

    tile_px: Annotated[int, Field(ge=64)]
    """Side of each picture of a person."""
    fit_quantiles: list[Share]
    """People shown before and after training, by the quantile of their fit's change: 0 improved most, 1
    worsened most."""
    prediction_quantiles: list[Share]
    """Test images shown, by the quantile of the last setting's error: 0 is the least, 1 the largest."""
    step_quantiles: list[Share]
    """Test images on which one step of the loop is shown, by the quantile of the change by the fit."""
    viewer_quantiles: list[Share]
    """People of the first test split in the 3D viewer, by the quantile of the last setting's error."""
    n_worst: Count
    """Worst predictions shown of each test split."""


class Experiment(Section):
    """The plan of an experiment, a file of its own."""

    description: str
    """The question."""
    base: dict[str, Any]
    """Values that replace those of params.yaml in all trainings."""
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    """Values that replace those, by variant; each variant has the setting `experiment`."""
    baseline: str
    """The variant that the others are compared with."""
    seeds: Annotated[list[int], Field(min_length=1)]
    """Values of `train.seed`; every variant is trained with each."""
    train_splits: Annotated[list[str], Field(min_length=1)]
    """Training splits with known truth, whose fits are measured."""
    test_splits: Annotated[list[str], Field(min_length=1)]
    """Test splits on which the networks are measured."""
