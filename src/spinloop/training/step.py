"""The pull of the fits towards the network's estimate, as training goes on.

With `fitting.anchor: adaptive` the pull follows the network's error, which is measured on the few people of
every batch who are fitted without any pull as well. Fits that were pulled stay near the network and would say
that it is good when it is not.

One step of the loop (SPIN, Figure 2): the network starts the fit, the better fit teaches the network.

Fits live in the crop of the dictionary: turned and mirrored as the training image is, but not zoomed, so that
errors of different epochs compare.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.fitting.anchor import AdaptiveAnchor
from spinloop.fitting.objective import fitted_keypoints
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.geometry.camera import camera_to_translation, normalize_keypoints, project
from spinloop.geometry.crop import CENTER_PX
from spinloop.geometry.rotations import axis_angle_to_matrix
from spinloop.params.fitting import FittingParams
from spinloop.params.training import LossWeights, SettingParams, TrainParams
from spinloop.regression.hmr import Hmr, Prediction
from spinloop.tables.fits import BestFit, FitStore, StoredFit
from spinloop.training import losses
from spinloop.training.data import Annotated, Batch
from spinloop.training.distributed import Machine, Processes

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
        is_seen = (fitted_keypoints(keypoints)[..., 2] > 0).any(-1)
        is_usable = is_seen & (fitted.reprojection.mean(-1) < self._max_error)
        return start.pose.cpu(), fitted.state.pose.cpu(), is_usable.cpu()


@dataclass(frozen=True)
class Apparatus:
    """What a step works with."""

    network: Hmr
    joints: JointsOnly
    """The 49 joints of the body that the network speaks of."""
    mesh: BodyModel | None
    """The same body's mesh; only needed where the mesh is supervised."""
    fitter: Fitter
    store: FitStore
    """The best fit so far of every training image."""
    anchor: Anchor
    """How far the fits trust the network."""
    machine: Machine
    """Computes the network, in this process and others."""


class Target(NamedTuple):
    """What the network should have said."""

    pose: Float[Tensor, "B 72"]
    betas: Float[Tensor, "B 10"]
    """Shape that is regressed."""
    mesh_betas: Float[Tensor, "B 10"]
    """Shape of the mesh; keeps what the shape-range rule takes from `betas`."""
    is_valid: Bool[Tensor, " B"]
    """False where neither a good fit nor an annotated body is known."""


class StepResult(NamedTuple):
    """The losses of a step and what became of the fits."""

    total: Float[Tensor, ""]
    """What is minimized; of several processes, this one's part of the sum."""
    terms: dict[str, Float[Tensor, ""]]
    """Of the whole batch, unweighted."""
    is_accepted: Bool[Tensor, " B"]
    """The fit of this step replaced the one in the dictionary."""
    is_valid: Bool[Tensor, " B"]
    predicted: Prediction
    """What the network said."""
    best: StoredFit | BestFit
    """What it was taught, in the view of the crop without its zoom."""


def take_step(
    apparatus: Apparatus,
    batch: Batch,
    setting: SettingParams,
    params: TrainParams,
    step: int,
    generator: torch.Generator,
) -> StepResult:
    """Losses of one batch; the dictionary of fits is updated on the way.

    Args:
        apparatus: network, body, fitter and dictionary.
        batch: the samples.
        setting: with the fit in the loop, or with static fits.
        params: of the training.
        step: number of this step, from 1; noted with every fit that is kept.
        generator: source of dropout.
    """
    fitter, machine = apparatus.fitter, apparatus.machine
    keypoints = unzoom_keypoints(batch.keypoints, batch.zoom)
    predicted = machine.predict(batch.images, generator)
    best = known = _on(machine.device, apparatus.store.get(batch.ids, batch.view))
    if setting.loop:
        start = unzoom_state(predicted.to_state(), batch.zoom)
        held = apparatus.anchor.weight(fitter, start, keypoints, step)
        fitted = fitter.fit(start, keypoints, held)
        best = keep_better(fitter, known, fitted, keypoints)
        remember(apparatus, batch, best, step)
    target = prefer_annotated(from_fit(best, params), batch.annotated)
    parts = supervise(apparatus, predicted, target, batch, params.weights)
    terms = machine.processes.sum(torch.stack(list(parts.values())).detach())
    is_accepted = best.is_new if isinstance(best, BestFit) else torch.zeros_like(known.is_known)
    total = weigh(parts, params.weights)
    whole = dict(zip(parts, terms.unbind(), strict=True))
    return StepResult(total, whole, is_accepted, target.is_valid, predicted, best)


def remember(apparatus: Apparatus, batch: Batch, best: BestFit, step: int) -> None:
    """Put the new fits of all processes into the dictionary, in the order of the batch."""
    own = batch.ids, batch.view, _in_memory(best)
    for ids, view, fits in apparatus.machine.processes.gather(own):
        apparatus.store.put(ids, view, fits, origin="loop", step=step)


def from_fit(best: StoredFit | BestFit, params: TrainParams) -> Target:
    """What the best fit teaches: nothing where it is bad, the mean shape where its shape is extreme."""
    is_valid = best.is_known & (best.error < params.max_fit_error)
    pose, betas = (torch.where(is_valid[:, None], x, 0.0) for x in (best.state.pose, best.state.betas))
    is_extreme = (betas.abs() > params.max_beta).any(1, keepdim=True)
    return Target(pose, torch.where(is_extreme, 0.0, betas), betas, is_valid)


def prefer_annotated(target: Target, annotated: Annotated) -> Target:
    """The annotated body where there is one; the rules for fits do not apply to it."""
    has_body = annotated.has_body[:, None]
    return Target(
        pose=torch.where(has_body, annotated.pose, target.pose),
        betas=torch.where(has_body, annotated.betas, target.betas),
        mesh_betas=torch.where(has_body, annotated.betas, target.mesh_betas),
        is_valid=target.is_valid | annotated.has_body,
    )


def supervise(
    apparatus: Apparatus, predicted: Prediction, target: Target, batch: Batch, weights: LossWeights
) -> dict[str, Float[Tensor, ""]]:
    """The loss terms, each a mean over the samples of the whole batch that it applies to, unweighted.

    Of several processes each gets its part of every mean; the parts add up to it.
    """
    everyone = torch.ones_like(target.is_valid)
    joints = apparatus.joints.joints(predicted.rotations, predicted.betas)
    projected = normalize_keypoints(project(joints, camera_to_translation(predicted.camera)))
    wanted = torch.cat([normalize_keypoints(batch.keypoints[..., :2]), batch.keypoints[..., 2:]], dim=-1)
    rotations = axis_angle_to_matrix(target.pose.unflatten(1, (24, 3)))
    values = {
        "keypoints_2d": (losses.keypoints_2d(projected, wanted, weights.openpose), everyone),
        "keypoints_3d": (
            losses.keypoints_3d(joints, batch.annotated.joints_3d),
            batch.annotated.has_joints_3d,
        ),
        "pose": (losses.squared(predicted.rotations, rotations), target.is_valid),
        "shape": (losses.squared(predicted.betas, target.betas), target.is_valid),
        "camera": (losses.positive_camera(predicted.camera), everyone),
    }
    if apparatus.mesh is not None:
        ours = apparatus.mesh.vertices(predicted.rotations, predicted.betas)
        theirs = apparatus.mesh.vertices(target.pose, target.mesh_betas)
        values["mesh"] = ((ours - theirs).abs(), target.is_valid)
    counts = apparatus.machine.processes.sum(torch.stack([chosen.sum() for _, chosen in values.values()]))
    return {
        name: losses.mean_over(value, chosen, n_chosen)
        for (name, (value, chosen)), n_chosen in zip(values.items(), counts.float(), strict=True)
    }


def weigh(terms: dict[str, Float[Tensor, ""]], weights: LossWeights) -> Float[Tensor, ""]:
    """The weighted sum."""
    return weights.total * torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


def unzoom_keypoints(
    keypoints: Float[Tensor, "B 49 3"], zoom: Float[Tensor, " B"]
) -> Float[Tensor, "B 49 3"]:
    """Keypoints in px of the crop without its zoom; those without confidence stay zero."""
    moved = (keypoints[..., :2] - CENTER_PX) * zoom[:, None, None] + CENTER_PX
    moved = torch.where(keypoints[..., 2:] > 0, moved, 0.0)
    return torch.cat([moved, keypoints[..., 2:]], dim=-1)


def unzoom_state(state: BodyState, zoom: Float[Tensor, " B"]) -> BodyState:
    """The same body before the crop without its zoom: a larger box puts the camera further away."""
    depth = state.translation[:, 2] / zoom
    translation = torch.cat([state.translation[:, :2], depth[:, None]], dim=1)
    return state._replace(translation=translation)


def _on(device: torch.device, fit: StoredFit) -> StoredFit:
    state = BodyState(*(part.to(device) for part in fit.state))
    return StoredFit(state, fit.error.to(device), fit.is_known.to(device))


def _in_memory(fits: BestFit) -> BestFit:
    state = BodyState(*(part.cpu() for part in fits.state))
    return BestFit(state, *(part.cpu() for part in fits[1:]))
