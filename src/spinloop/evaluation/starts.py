"""Offline fits from different starts against the truth that only a mirror has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.fits import FitErrors, Snapshots
from spinloop.fitting.status import STATUSES
from spinloop.fitting.store import FitStore


def load_stores(paths: Sequence[Path]) -> list[FitStore]:
    """Read stores that speak of the same people in the same order.

    Raises:
        UserError: a file is absent or faulty, or its people are others than the first one's.
    """
    stores = [FitStore.open(path) for path in paths]
    for path, store in zip(paths, stores, strict=True):
        if store.ids != stores[0].ids:
            raise UserError(f"{path}: ids differ from those of {paths[0]}; compare fits of one split")
    return stores


def stacked(stores: Sequence[FitStore]) -> Snapshots:
    """Stores of the same people side by side, numbered in place of the steps."""
    pose, betas = (np.stack([store.array(name) for store in stores]) for name in ("pose", "betas"))
    return Snapshots(list(stores[0].ids), np.arange(len(stores)), pose, betas)


def summarize_starts(
    names: Sequence[str],
    stores: Sequence[FitStore],
    errors: FitErrors,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Quality of the fits from each start over the people who have a fit from every start.

    Args:
        names: of the starts; the first is what the others are compared with.
        stores: one per start, of the same people.
        errors: of the stores, in this order.
        confidence: of the intervals, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws.

    Returns:
        Start → `n_with_fit`, `statuses` (name → people), `reprojection_px2`, `pa_mpjpe_mm`, `mpjpe_mm` and
        `change_pa_mpjpe_mm` (each person's difference to the first start) with `_low` and `_high`, and the
        median.
    """
    both = np.isfinite(errors.pa_mpjpe_mm).all(0)
    if not both.any():
        raise UserError(f"fits: nobody has a fit from every start ({', '.join(names)}); fit again")

    def interval(values: Float[np.ndarray, " N"]) -> tuple[float, float, float]:
        rng = np.random.default_rng(seed)
        return mean_interval(values, np.arange(len(values)), confidence, n_resamples, rng)

    table: dict[str, Any] = {}
    for row, (name, store) in enumerate(zip(names, stores, strict=True)):
        numbers: dict[str, Any] = {
            "n_with_fit": int(store.is_known.sum()),
            "n_compared": int(both.sum()),
            "statuses": _status_counts(store),
            "reprojection_px2": float(store.array("error")[both].mean(dtype=np.float64)),
            "pa_mpjpe_median_mm": float(np.median(errors.pa_mpjpe_mm[row, both])),
        }
        series = {key: values[row, both] for key, values in errors._asdict().items()}
        series["change_pa_mpjpe_mm"] = series["pa_mpjpe_mm"] - errors.pa_mpjpe_mm[0, both]
        for key, values in series.items():
            numbers |= dict(zip((key, f"{key}_low", f"{key}_high"), interval(values), strict=True))
        table[name] = numbers
    return table


def _status_counts(store: FitStore) -> dict[str, int]:
    counts = np.bincount(store.array("status"), minlength=len(STATUSES))
    return {name: int(count) for name, count in zip(STATUSES, counts, strict=True) if count}
