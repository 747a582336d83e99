"""Two networks on the same people."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import Interval, mean_interval
from spinloop.evaluation.predict import Predictions, load_errors, load_predictions


def paired_change(
    first: Float[np.ndarray, " N"],
    second: Float[np.ndarray, " N"],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> Interval:
    """Mean of (second − first) over people, with its interval (see `bootstrap.mean_interval`).

    Args:
        first: each person's error under one.
        second: the same person's error under the other.
        groups: which people are resampled together.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.
    """
    return mean_interval(second - first, groups, confidence, n_resamples, np.random.default_rng(seed))


class Scored(NamedTuple):
    """A network's predictions of a split and their errors."""

    predictions: Predictions
    errors: dict[str, Float[np.ndarray, "N ..."]]
    """Each person's, by metric, see `predict.save_predictions`."""


def load_scored(paths: Sequence[Path]) -> list[Scored]:
    """Read files of predictions that speak of the same people in the same order.

    Raises:
        UserError: a file is absent or faulty, or its people are others than the first one's.
    """
    scored = []
    for path in paths:
        predictions, errors = load_predictions(path), load_errors(path)
        if scored and predictions.ids != scored[0].predictions.ids:
            raise UserError(f"{path}: ids differ from those of {paths[0]}; evaluate both on one split")
        scored.append(Scored(predictions, errors))
    return scored
