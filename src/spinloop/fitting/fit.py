"""One fit of each person of a batch: as it is found, kept and compared."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.state import BodyState


class FitResult(NamedTuple):
    """Fitted bodies; all numbers are finite."""

    state: BodyState
    joints: Float[Tensor, "B 49 3"]
    """Metres, without the translation."""
    reprojection: Float[Tensor, "B 49"]
    """Robust reprojection error, px² (see `fitting.energy`); fits are compared by its mean."""
    objective: Float[Tensor, " B"]
    """All terms of the objective, without anchor and depth term."""
    iterations: Int[Tensor, " B"]
    """Steps tried, all stages together."""
    converged: Bool[Tensor, " B"]
    """Whether the solver stopped because a step gained next to nothing."""


class Fit(NamedTuple):
    """The best fits known so far."""

    state: BodyState
    """Zeros where none is known."""
    error: Float[Tensor, " B"]
    """Mean over the 49 joints of the robust reprojection error, px²; infinite where no fit is known."""
    is_known: Bool[Tensor, " B"]


class Better(NamedTuple):
    """The better of a known and a new fit, per person."""

    state: BodyState
    """With the translation at which it was measured; zeros where there is no fit at all."""
    error: Float[Tensor, " B"]
    """As in `Fit`, both measured with the same treatment of the camera."""
    is_known: Bool[Tensor, " B"]
    is_new: Bool[Tensor, " B"]
    """Whether the new fit replaces the known one."""
