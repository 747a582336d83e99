"""One training step of SPIN (Figure 2): the network's estimate starts a fit, the better fit supervises it.

Fits are made in the training image's crop without its zoom, so that their errors compare across epochs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.fitting.starts import AdaptiveAnchor
from spinloop.geometry.crop import CENTER_PX
from spinloop.params.fitting import FittingParams
from spinloop.params.training import SettingParams, TrainParams
from spinloop.regression.hmr import Prediction
from spinloop.tables.fits import BestFit, FitStore, StoredFit
from spinloop.training.batches import Annotations3d, Batch
from spinloop.training.distributed import ProcessGroup, TrainableNetwork
from spinloop.training.losses import Target, loss_terms, weighted_sum

# One person in so many is also fitted without an anchor. With 32 people a step and a memory of 100 steps, the
# variance is that of 400 such fits, for an eighth more time.
FREE_FIT_EVERY = 8


@dataclass(frozen=True)
class TrainingContext:
    """The parts that a training step works with."""

    params: TrainParams
    setting: SettingParams
    network: TrainableNetwork
    joints: JointsOnly
    """The 49 joints of the neutral body."""
    mesh: BodyModel | None
    """Mesh of the neutral body, if the mesh is supervised."""
    fitter: Fitter
    store: FitStore
    """The dictionary: the best fit so far of every training image."""
    anchor: "AnchorWeights"

    @property
    def processes(self) -> ProcessGroup:
        """The processes that train together."""
        return self.network.processes


class StepResult(NamedTuple):
    """Losses and fits of one step."""

    total: Float[Tensor, ""]
    """The minimized loss; with several processes, this process's part of the sum."""
    terms: dict[str, Float[Tensor, ""]]
    """Unweighted loss terms of the whole batch."""
    is_accepted: Bool[Tensor, " B"]
    """Whether the fit of this step replaced the one in the dictionary."""
    is_valid: Bool[Tensor, " B"]
    """Whether a body supervised the network."""
    predicted: Prediction
    best: StoredFit | BestFit
    """The best fits, in the view of the crop without its zoom."""


def train_step(context: TrainingContext, batch: Batch, step: int, generator: torch.Generator) -> StepResult:
    """Losses of one batch; updates the dictionary of fits.

    Args:
        context: network, body, fitter and dictionary.
        batch: the samples.
        step: number of this step, from 1; stored with every new fit.
        generator: source of dropout.
    """
    params, fitter, network = context.params, context.fitter, context.network
    keypoints = unzoom_keypoints(batch.keypoints, batch.zoom)
    predicted = network.predict(batch.images, generator)
    best = known = _to_device(context.store.get(batch.ids, batch.view), network.device)
    if context.setting.loop:
        start = unzoom_state(predicted.to_state(), batch.zoom)
        anchor_weight = context.anchor.weight(fitter, start, keypoints, step)
        fitted = fitter.fit(start, keypoints, anchor_weight)
        best = keep_better(fitter, known, fitted, keypoints)
        update_store(context, batch, best, step)
    target = prefer_annotated(fit_target(best, params), batch.annotations)
    terms = loss_terms(
        context.joints, context.mesh, predicted, target, batch, params.weights, context.processes
    )
    is_accepted = best.is_new if isinstance(best, BestFit) else torch.zeros_like(known.is_known)
    sums = context.processes.sum(torch.stack(list(terms.values())).detach())
    total = weighted_sum(terms, params.weights)
    whole = dict(zip(terms, sums.unbind(), strict=True))
    return StepResult(total, whole, is_accepted, target.is_valid, predicted, best)


def update_store(context: TrainingContext, batch: Batch, best: BestFit, step: int) -> None:
    """Put the new fits of all processes into the dictionary, in the order of the batch."""
    own = batch.ids, batch.view, _to_cpu(best)
    for ids, view, fits in context.processes.gather(own):
        context.store.put(ids, view, fits, origin="loop", step=step)


def fit_target(best: StoredFit | BestFit, params: TrainParams) -> Target:
    """The best fits as targets: not valid where the fit is bad, the mean shape where the shape is extreme."""
    is_valid = best.is_known & (best.error < params.max_fit_error)
    pose, betas = (torch.where(is_valid[:, None], x, 0.0) for x in (best.state.pose, best.state.betas))
    is_extreme = (betas.abs() > params.max_beta).any(1, keepdim=True)
    return Target(pose, torch.where(is_extreme, 0.0, betas), betas, is_valid)


def prefer_annotated(target: Target, annotations: Annotations3d) -> Target:
    """The annotated body where there is one; limits on fits do not apply to it."""
    has_body = annotations.has_body[:, None]
    return Target(
        pose=torch.where(has_body, annotations.pose, target.pose),
        betas=torch.where(has_body, annotations.betas, target.betas),
        mesh_betas=torch.where(has_body, annotations.betas, target.mesh_betas),
        is_valid=target.is_valid | annotations.has_body,
    )


class AnchorWeights:
    """How strongly fits are anchored to the network's estimate.

    With `fitting.anchor: adaptive` the weights follow the error of the network, measured on the few people of
    every batch who are also fitted without an anchor. Anchored fits stay near the estimate and would
    underestimate its error.

    Args:
        params: parameters of the fits.
        max_error: mean reprojection error (px²) from which on a fit without an anchor is not used.
        processes: the processes whose fits are used together.
    """

    def __init__(self, params: FittingParams, max_error: float, processes: ProcessGroup) -> None:
        self._adaptive = AdaptiveAnchor(params.anchor_noise_px) if params.anchor == "adaptive" else None
        self._max_error, self._processes = max_error, processes

    def weight(
        self, fitter: Fitter, start: BodyState, keypoints: Float[Tensor, "B 49 3"], step: int
    ) -> Float[Tensor, " 24"] | None:
        """Update from a batch and return the weight of each joint, px² per rad²; None if not adaptive.

        Args:
            fitter: fits.
            start: the network's estimates.
            keypoints: keypoints of the same people, pixels and confidence.
            step: number of the step; it determines who is fitted without an anchor.
        """
        if self._adaptive is None:
            return None
        first = self._processes.rank * len(keypoints)
        rows = [row for row in range(len(keypoints)) if (first + row - step) % FREE_FIT_EVERY == 0]
        chosen = torch.tensor(rows, dtype=torch.long, device=keypoints.device)
        chosen_start = BodyState(*(part[chosen] for part in start))
        for poses in self._processes.gather(self._free_fits(fitter, chosen_start, keypoints[chosen])):
            self._adaptive.update(*poses)
        return self._adaptive.weight()

    def state_dict(self) -> dict[str, Tensor]:
        """State for a checkpoint."""
        return {} if self._adaptive is None else self._adaptive.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the state of a checkpoint."""
        if self._adaptive is not None:
            self._adaptive.load_state_dict(state)

    def _free_fits(
        self, fitter: Fitter, start: BodyState, keypoints: Float[Tensor, "N 49 3"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Poses before and after a fit without an anchor, and whether the fit is good enough to be used."""
        if len(keypoints) == 0:
            empty = start.pose.cpu()
            return empty, empty, torch.zeros(0, dtype=torch.bool)
        fitted = fitter.fit(start, keypoints, torch.zeros(24))
        is_visible = (fitted_keypoints(keypoints)[..., 2] > 0).any(-1)
        is_usable = is_visible & (fitted.reprojection.mean(-1) < self._max_error)
        return start.pose.cpu(), fitted.state.pose.cpu(), is_usable.cpu()


def unzoom_keypoints(
    keypoints: Float[Tensor, "B 49 3"], zoom: Float[Tensor, " B"]
) -> Float[Tensor, "B 49 3"]:
    """Keypoints in px of the crop without its zoom; those without confidence stay zero."""
    moved = (keypoints[..., :2] - CENTER_PX) * zoom[:, None, None] + CENTER_PX
    moved = torch.where(keypoints[..., 2:] > 0, moved, 0.0)
    return torch.cat([moved, keypoints[..., 2:]], dim=-1)


def unzoom_state(state: BodyState, zoom: Float[Tensor, " B"]) -> BodyState:
    """The same body in the crop without its zoom: a larger box moves the camera further away."""
    depth = state.translation[:, 2] / zoom
    translation = torch.cat([state.translation[:, :2], depth[:, None]], dim=1)
    return state._replace(translation=translation)


def _to_device(fit: StoredFit, device: torch.device) -> StoredFit:
    state = BodyState(*(part.to(device) for part in fit.state))
    return StoredFit(state, fit.error.to(device), fit.is_known.to(device))


def _to_cpu(fits: BestFit) -> BestFit:
    state = BodyState(*(part.cpu() for part in fits.state))
    return BestFit(state, *(part.cpu() for part in fits[1:]))
