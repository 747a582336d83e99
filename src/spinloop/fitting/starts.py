"""Where offline fits start: the mean pose, 2D lifted to 3D, or what somebody gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.fitting.smplify import Fitter
from spinloop.lifting.network import lift, load_lifter
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.tables.fits import FitResult

Keypoints = Float[Tensor, "B 49 3"]
STARTS = ("mean", "lifted")


class Start(NamedTuple):
    """One way to begin."""

    fitter: Fitter
    begin: Callable[[Keypoints], BodyState]
    """Keypoints to the bodies that the fit begins at."""
    solve: Callable[[Keypoints], FitResult]
    """Keypoints to fits."""


class Workshop(NamedTuple):
    """What every start needs."""

    body: BodyFile
    prior: Mixture
    fitting: FittingParams
    """Objective and solver. Its anchor belongs to the loop; offline fits have their own."""
    rules: FitInitialParams
    device: str = "cpu"

    def fitter(self, **update: object) -> Fitter:
        """A fitter with some parameters changed."""
        return Fitter(self.body, self.prior, self.fitting.model_copy(update=update), self.device)


def prepare_start(name: str, workshop: Workshop, lifter: Path | None) -> Start:
    """A fitter and what it begins at.

    Args:
        name: `mean` or `lifted`.
        workshop: what is fitted, and how.
        lifter: file of the lifter; needed for `lifted`.

    Raises:
        UserError: the start has another name, or there is no lifter.
    """
    if name not in STARTS:
        raise UserError(f"--start {name}: expected {' or '.join(STARTS)}; change the call")
    if name == "mean":
        fitter = workshop.fitter(anchor="none")
        return Start(
            fitter,
            fitter.mean_pose,
            fitter.fit_from_mean,
        )
    if lifter is None:
        raise UserError("--start lifted: needs --lifter, a file of `spinloop train_lifter`; add it")
    fitter = workshop.fitter(**_lifted_settings(workshop))
    network = load_lifter(lifter).to(workshop.device)

    def begin(keypoints: Keypoints) -> BodyState:
        return lift(network, keypoints.to(workshop.device, torch.float32))

    return Start(fitter, begin, lambda keypoints: fitter.fit(begin(keypoints), keypoints))


def _lifted_settings(workshop: Workshop) -> dict[str, Any]:
    """What a fit from lifted 2D does differently: few steps, held near its start. Adam knows no anchor."""
    if workshop.fitting.solver == "adam":
        return {"anchor": "none"}
    settings = workshop.rules.lifted_start
    return {
        "n_iterations": settings.n_iterations,
        "anchor": "fixed",
        "anchor_weight": settings.anchor_weight,
    }


def require_device(device: str) -> None:
    """Look for the device that a command line names.

    Raises:
        UserError: it has another name than `cpu`, `cuda` or `cuda:1`, …, or this machine has none.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise UserError(f"--device {device}: expected cpu or cuda (of several: cuda:1); change the call")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UserError(f"--device {device}: no such device here, {found} GPUs found; use --device cpu")


def given_start(state: BodyState, workshop: Workshop) -> Start:
    """A fitter that begins at `state`, without an anchor that nobody has measured."""
    is_measured = workshop.fitting.anchor != "adaptive"
    fitter = workshop.fitter() if is_measured else workshop.fitter(anchor="none")
    return Start(fitter, lambda _: state, lambda keypoints: fitter.fit(state, keypoints))
