"""What became of a person's fit."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from spinloop.fitting.energy import fitted_only
from spinloop.fitting.fit import FitResult
from spinloop.fitting.store import STATUSES
from spinloop.params.fitting import FitInitialParams


def fit_status(
    result: FitResult, keypoints: Float[Tensor, "B 49 3"], params: FitInitialParams
) -> Int[Tensor, " B"]:
    """Status of each fit, as a position in `STATUSES`.

    Args:
        result: the fits.
        keypoints: what was fitted to.
        params: the limits.
    """
    status = torch.where(result.converged, STATUSES.index("converged"), STATUSES.index("max_iterations"))
    trust = fitted_only(keypoints)[..., 2].to(result.reprojection)
    seen = (trust > 0).sum(-1)
    per_joint = result.reprojection.sum(-1) / trust.square().sum(-1).clamp(min=1e-12)
    for name, applies in (
        ("rejected_reprojection", per_joint > params.max_reprojection),
        ("shape_out_of_range", (result.state.betas.abs() > params.max_beta).any(-1)),
        ("too_few_joints", seen < params.min_joints),
    ):
        status = torch.where(applies.to(status.device), STATUSES.index(name), status)
    return status


def count_statuses(status: Integer[Tensor, " B"]) -> str:
    """How many people have each status, in words."""
    return name_statuses(torch.bincount(status.cpu().long(), minlength=len(STATUSES)).tolist())


def name_statuses(counts: Iterable[int]) -> str:
    """Counts in the order of `STATUSES`, in words; those that nobody has are left out."""
    named = (f"{n} {name}" for n, name in zip(counts, STATUSES, strict=True) if n)
    return ", ".join(named) or "nobody"
