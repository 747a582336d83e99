"""Where fits start, and how strongly the adaptive anchor ties a fit in training to its start.

Offline fits start from the mean pose, from 2D keypoints lifted to 3D, or from bodies that are given. For a
start with deviation σ_θ radians and keypoints with deviation σ_px pixels, the maximum a posteriori weight of
the anchor is σ_px²/σ_θ². σ_θ is measured during training, by how far fits *without* anchor move from their
starts. Fits with anchor stay near their starts and would make the weight grow without a reason.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.user_keypoints import PeopleToFit, read_start
from spinloop.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from spinloop.lifting.network import PACKAGED_LIFTER, lift, load_lifter
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FitInitialParams, FitParams, FittingParams
from spinloop.tables.fits import FitResult

STARTS = ("mean", "lifted")
"""Names of the starts that need nothing but keypoints."""

Keypoints = Float[Tensor, "B 49 3"]


class Start(NamedTuple):
    """A fitter and where it starts; keypoints are pixels of the 224 px crop, and confidence."""

    fitter: Fitter
    estimate: Callable[[Keypoints], BodyState]
    """Keypoints to the bodies that the fit starts from."""
    fit: Callable[[Keypoints], FitResult]
    """Keypoints to fits."""
    is_far: bool = False
    """Whether it is far from the pose, so that fits need strong priors first."""


class FittingSetup(NamedTuple):
    """What fits from every start have in common."""

    body: BodyFile
    prior: Mixture
    fitting: FittingParams
    """Objective and solver. Its anchor is for the loop; fits from lifted keypoints have their own."""
    offline: FitInitialParams
    device: str = "cpu"

    def fitter(self, **update: object) -> Fitter:
        """A fitter with some of the parameters of `fitting` replaced."""
        return Fitter(self.body, self.prior, self.fitting.model_copy(update=update), self.device)

    def with_solver(self, solver: str) -> "FittingSetup":
        """The same with another solver."""
        return self._replace(fitting=self.fitting.model_copy(update={"solver": solver}))

    def with_iterations(self, n_iterations: int) -> "FittingSetup":
        """The same with a number of iterations for every start and stage."""
        changed = {"n_iterations": n_iterations}
        stages = [stage.model_copy(update=changed) for stage in self.fitting.mean_start.stages]
        mean_start = self.fitting.mean_start.model_copy(update={"stages": stages})
        lifted_start = self.offline.lifted_start.model_copy(update=changed)
        return self._replace(
            fitting=self.fitting.model_copy(update=changed | {"mean_start": mean_start}),
            offline=self.offline.model_copy(update={"lifted_start": lifted_start}),
        )


def start_named(name: str, setup: FittingSetup, lifter: Path | None) -> Start:
    """One of the starts that need nothing but keypoints.

    Args:
        name: one of `STARTS`.
        setup: body, prior and parameters.
        lifter: file of the lifter, for `lifted`; the one of the package if none is given.

    Raises:
        UserError: the start has another name.
    """
    if name not in STARTS:
        raise UserError(f"--start {name}: expected {' or '.join(STARTS)}; change the call")
    if name == "mean":
        fitter = setup.fitter(anchor="none")
        return Start(fitter, fitter.mean_pose, fitter.fit_from_mean, is_far=True)
    fitter = setup.fitter(**_lifted_settings(setup))
    network = load_lifter(lifter or PACKAGED_LIFTER).to(setup.device)

    def estimate(keypoints: Keypoints) -> BodyState:
        return lift(network, keypoints.to(setup.device, torch.float32))

    return Start(fitter, estimate, lambda keypoints: fitter.fit(estimate(keypoints), keypoints))


def start_from(state: BodyState, setup: FittingSetup) -> Start:
    """A start from given bodies; an adaptive anchor is left out, since these bodies were not measured."""
    fitter = setup.fitter(anchor="none") if setup.fitting.anchor == "adaptive" else setup.fitter()
    return Start(fitter, lambda _: state, lambda keypoints: fitter.fit(state, keypoints))


def fitted_in_stages(start: Start, setup: FittingSetup, params: FitParams) -> Start:
    """The same start, fitted to a detector's keypoints in stages (see `docs/fitting.md`).

    Args:
        start: where the first stage begins; from the mean pose it begins at the published fit.
        setup: body, prior and parameters.
        params: the stages.
    """
    fitter = setup.fitter(anchor="none", camera="free", weights=params.weights)

    def fit(keypoints: Keypoints) -> FitResult:
        first = start.fit(keypoints).state if start.is_far else start.estimate(keypoints)
        return fitter.fit_in_stages(first, keypoints, params.stages)

    return start._replace(fitter=fitter, fit=fit)


def choose_start(start: str, people: PeopleToFit, setup: FittingSetup, lifter: Path | None) -> Start:
    """The start that a user asks for.

    Args:
        start: one of `STARTS`, a file as of `read_start`, or empty: the start in the people's own file, else
            `lifted`.
        people: who is fitted.
        setup: body, prior and parameters.
        lifter: as for `start_named`.

    Raises:
        UserError: there is no such file, or Adam has no start near enough.
    """
    given = people.start if start == "" else None
    if start not in ("", *STARTS):
        if not Path(start).is_file():
            raise UserError(f"--start {start}: no such file; give {', '.join(STARTS)} or an npz with a pose")
        given = read_start(Path(start), len(people.ids))
    if given is not None:
        return start_from(given, setup)
    if start == "mean" and setup.fitting.solver == "adam":
        raise UserError(
            "--solver adam: needs a start, the mean pose is too far; give --start lifted or a file"
        )
    return start_named(start or "lifted", setup, lifter)


def _lifted_settings(setup: FittingSetup) -> dict[str, Any]:
    """Few steps with an anchor at the lifted pose. Adam has no anchor."""
    if setup.fitting.solver == "adam":
        return {"anchor": "none"}
    settings = setup.offline.lifted_start
    return {
        "n_iterations": settings.n_iterations,
        "anchor": "fixed",
        "anchor_weight": settings.anchor_weight,
    }


def require_device(device: str) -> None:
    """Check that this machine has a device.

    Raises:
        UserError: the name is not `cpu`, `cuda` or `cuda:1`, …, or this machine has no such device.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise UserError(f"--device {device}: expected cpu or cuda (of several: cuda:1); change the call")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UserError(f"--device {device}: no such device here, {found} GPUs found; use --device cpu")


# σ_θ = 0.01 rad at 1 px. A larger weight only worsens the conditioning of the curvature.
_MAX_WEIGHT = 1e4


class AdaptiveAnchor:
    """Weights from the running mean of the squared angle between starts and fits without anchor."""

    def __init__(self, noise_px: float, memory: float = 0.99) -> None:
        """Begin without observations: all weights are zero.

        Args:
            noise_px: deviation σ_px of the keypoints (`fitting.anchor_noise_px`).
            memory: share of the old mean that an update keeps.
        """
        self._noise_px, self._memory = noise_px, memory
        self._mean_square = torch.zeros(24, dtype=torch.float64)
        self._share = 0.0

    def update(
        self, start: Float[Tensor, "B 72"], fitted: Float[Tensor, "B 72"], is_usable: Bool[Tensor, " B"]
    ) -> None:
        """Add a batch to the mean.

        Args:
            start: poses that the fits started from, radians.
            fitted: poses of the same people after a fit without anchor.
            is_usable: whether a fit is good enough to count.
        """
        if not bool(is_usable.any()):
            return
        before, after = (
            axis_angle_to_matrix(pose[is_usable].cpu().double().unflatten(1, (24, 3)))
            for pose in (start, fitted)
        )
        angle = matrix_to_axis_angle(before.mT @ after).norm(dim=-1)
        self._mean_square = self._memory * self._mean_square + (1 - self._memory) * angle.square().mean(0)
        self._share = self._memory * self._share + 1 - self._memory

    def weight(self) -> Float[Tensor, " 24"]:
        """Weight of each joint for `Fitter.fit`, px² per rad²; zero before the first update."""
        if self._share == 0:
            return torch.zeros(24)
        # The squared angle is the sum over the three numbers of a rotation vector.
        variance = self._mean_square / self._share / 3
        return (self._noise_px**2 / variance.clamp(min=1e-12)).clamp(max=_MAX_WEIGHT).float()

    def state_dict(self) -> dict[str, Tensor]:
        """The running mean, for a checkpoint."""
        share = torch.tensor(self._share, dtype=torch.float64)
        return {"mean_square": self._mean_square.clone(), "share": share}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resume from a checkpoint."""
        self._mean_square, self._share = state["mean_square"].clone(), float(state["share"])
