"""Two sets of predictions of the same people: who is nearer to the truth, person by person."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import Interval, mean_interval, total_interval
from spinloop.evaluation.masks import PixelCounts, mask_metrics
from spinloop.evaluation.predict import Predictions, load_errors, load_predictions
from spinloop.evaluation.protocols import AnyProtocol, MaskProtocol
from spinloop.evaluation.scores import MaskScores, Scores, flat_interval


class Scored(NamedTuple):
    """Predictions of a split and their errors."""

    predictions: Predictions
    errors: dict[str, Float[np.ndarray, "N ..."]]
    """Each person's, by metric, see `predict.save_predictions`."""

    def scores(self, protocol: AnyProtocol, rows: Int[np.ndarray, " M"] | None = None) -> Scores | MaskScores:
        """What was measured, without measuring again.

        Args:
            protocol: by which the errors were made.
            rows: of the people that count; all if not given.
        """
        known = {name: values if rows is None else values[rows] for name, values in self.errors.items()}
        if isinstance(protocol, MaskProtocol):
            return MaskScores(protocol, PixelCounts.from_flat(known["pixel_counts"]))
        joints = (known["joint_mpjpe_mm"], known["joint_pa_mpjpe_mm"])
        return Scores(protocol, {name: known[name] for name in protocol.metrics if name in known}, *joints)


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


def paired_change(
    first: Scores | MaskScores,
    second: Scores | MaskScores,
    name: str,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> Interval:
    """A metric of the second minus that of the first over the same people, with its interval.

    The same people are drawn on both sides, so that what makes an image hard for both does not blur the
    difference.

    Args:
        first: of one.
        second: of the other, under the same protocol.
        name: of the metric.
        groups: which people are resampled together; images with masks are always drawn one by one.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    if isinstance(first, MaskScores) and isinstance(second, MaskScores):
        sides = [scores.counts.flat() for scores in (first, second)]
        middle = sides[0].shape[1]

        def difference(totals: Float[np.ndarray, "R K"]) -> Float[np.ndarray, " R"]:
            halves = np.split(totals, [middle], axis=1)
            one, other = (mask_metrics(PixelCounts.from_flat(half))[name] for half in halves)
            return other - one

        return total_interval(np.concatenate(sides, axis=1), difference, confidence, n_resamples, rng)
    return mean_interval(second.values[name] - first.values[name], groups, confidence, n_resamples, rng)


def paired_changes(
    first: Scores | MaskScores,
    second: Scores | MaskScores,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, float]:
    """`paired_change` of each metric, as `<metric>`, `<metric>_low`, `<metric>_high`.

    Args:
        first: of one.
        second: of the other, under the same protocol.
        groups: which people are resampled together.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws; each metric sees the same ones.
    """
    found = {}
    for name in first.values:
        change = paired_change(first, second, name, groups, confidence, n_resamples, seed)
        found |= flat_interval(name, change)
    return found
