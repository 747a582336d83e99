"""The pull of the fits towards the network's estimate, as training goes on.

With `fitting.anchor: adaptive` the pull follows the network's error, which is measured on the few people of
every batch who are fitted without any pull as well. Fits that were pulled stay near the network and would say
that it is good when it is not.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.body.state import BodyState
from spinloop.fitting.anchor import AdaptiveAnchor
from spinloop.fitting.energy import fitted_only
from spinloop.fitting.smplify import Fitter
from spinloop.params.fitting import FittingParams
from spinloop.training.processes import Processes

# One person in so many is also fitted freely. With 32 people a step and a memory of 100 steps the variance is
# that of 400 free fits, for an eighth more time.
FREE_EVERY = 8


class Anchor:
    """Weights for `Fitter.fit`; learns from every batch where they are adaptive.

    Args:
        params: of the fits.
        max_error: mean reprojection error (px²) from which on a free fit is not believed.
        processes: whose free fits are learned from together.
    """

    def __init__(self, params: FittingParams, max_error: float, processes: Processes) -> None:
        self._adaptive = AdaptiveAnchor(params.anchor_noise_px) if params.anchor == "adaptive" else None
        self._max_error, self._processes = max_error, processes

    def weight(
        self, fitter: Fitter, start: BodyState, keypoints: Float[Tensor, "B 49 3"], step: int
    ) -> Float[Tensor, " 24"] | None:
        """Learn from a batch and return each joint's weight, px² per rad²; None where it is not adaptive.

        Args:
            fitter: fits.
            start: the network's estimates.
            keypoints: of the same people, pixels and confidence.
            step: number of the step; the people who are fitted freely change with it.
        """
        if self._adaptive is None:
            return None
        first = self._processes.rank * len(keypoints)
        rows = [row for row in range(len(keypoints)) if (first + row - step) % FREE_EVERY == 0]
        chosen = torch.tensor(rows, dtype=torch.long, device=keypoints.device)
        begun = BodyState(*(part[chosen] for part in start))
        for poses in self._processes.gather(self._free(fitter, begun, keypoints[chosen])):
            self._adaptive.update(*poses)
        return self._adaptive.weight()

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, for a checkpoint."""
        return {} if self._adaptive is None else self._adaptive.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        if self._adaptive is not None:
            self._adaptive.load_state_dict(state)

    def _free(
        self, fitter: Fitter, start: BodyState, keypoints: Float[Tensor, "N 49 3"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Poses before and after a fit without any pull, and whether the fit is to be believed."""
        if len(keypoints) == 0:
            nobody = start.pose.cpu()
            return nobody, nobody, torch.zeros(0, dtype=torch.bool)
        fitted = fitter.fit(start, keypoints, torch.zeros(24))
        is_seen = (fitted_only(keypoints)[..., 2] > 0).any(-1)
        is_usable = is_seen & (fitted.reprojection.mean(-1) < self._max_error)
        return start.pose.cpu(), fitted.state.pose.cpu(), is_usable.cpu()
