"""One fit of each person of a batch: as it is found, kept and compared."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
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

    def overwrite(
        self, index: Int[Tensor, " N"], other: "FitResult", wins: Bool[Tensor, " N"]
    ) -> "FitResult":
        """The same fits, those at `index` replaced by rows of `other` where these win.

        Args:
            index: positions of the people of `other`.
            other: other fits of theirs.
            wins: which of them are better.
        """
        where = index[wins]
        state = BodyState(
            *(old.index_copy(0, where, new[wins]) for old, new in zip(self.state, other.state, strict=True))
        )
        rest = (old.index_copy(0, where, new[wins]) for old, new in zip(self[1:], other[1:], strict=True))
        return FitResult(state, *rest)


def join_results(results: Sequence[FitResult]) -> FitResult:
    """Everybody of all results, in their order."""
    if len(results) == 1:
        return results[0]
    states = BodyState(*(torch.cat(rows) for rows in zip(*(r.state for r in results), strict=True)))
    return FitResult(states, *(torch.cat(rows) for rows in zip(*(r[1:] for r in results), strict=True)))


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
