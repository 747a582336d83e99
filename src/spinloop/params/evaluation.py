"""Sections `evaluate` and `report`: how errors are measured and what the report shows."""

from typing import Annotated, TypedDict

from pydantic import Field

from spinloop.params.loader import Section

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


class Bootstrap(TypedDict):
    """How intervals are made, see `evaluation.bootstrap`."""

    confidence: float
    n_resamples: int
    seed: int


class EvaluateParams(Section):
    """Measuring of predictions and fits."""

    protocol: str
    """Name and version of the protocol, see `docs/protocols.md`."""
    batch_size: Count
    """People at once; changes nothing but time and memory, beyond rounding."""
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """Probability that the reported intervals hold."""
    bootstrap_resamples: Count
    """Draws of the bootstrap behind the intervals."""
    bootstrap_seed: Annotated[int, Field(ge=0)]
    """Seed of those draws."""

    @property
    def bootstrap(self) -> "Bootstrap":
        """The keyword arguments of every interval."""
        return {
            "confidence": self.confidence,
            "n_resamples": self.bootstrap_resamples,
            "seed": self.bootstrap_seed,
        }


class ReportParams(Section):
    """Choices of the report."""

    tile_px: Annotated[int, Field(ge=64)]
    """Side of each picture of a person."""
    fit_quantiles: list[Share]
    """People shown before and after training, by the rank of their fit's change: 0 is the greatest
    improvement, 1 the greatest loss."""
    prediction_quantiles: list[Share]
    """Test images shown, by the rank of the last setting's error: 0 is the least error, 1 the worst."""
