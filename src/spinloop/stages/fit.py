"""Fit a body to your own 2D keypoints."""

import time
from pathlib import Path
from typing import Any, Literal

import torch

from spinloop.body.files import load_body
from spinloop.errors import UserError
from spinloop.fitting.request import read_request, save_fits
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.status import STATUSES, count_statuses, fit_status
from spinloop.motion.mixture import load_mixture
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.loader import load_section
from spinloop.stages._progress import say

SECTIONS = {"fitting": FittingParams, "fit_initial": FitInitialParams}


def run(
    *,
    keypoints: Path,
    body: Path,
    prior: Path,
    out: Path,
    start: str = "mean",
    solver: Literal["lm", "adam", ""] = "",
    iterations: int = 0,
    device: str = "cpu",
    params: Path = Path("params.yaml"),
) -> None:
    """Fit pose, shape and camera of each person, from the mean pose or from a start of your own.

    Args:
        keypoints: npz with `keypoints` (N, 49, 3): x, y in pixels of a square crop around the person, and
            confidence (or (N, 25, 3), OpenPose alone); if wanted `size`, the side of the crop (else 224),
            and `ids`.
        body: the body (npz).
        prior: the mixture of poses (npz).
        out: npz with `ids, pose, betas, cam_t, joints, reprojection, objective, status, iterations, seconds`.
        start: `mean`, or an npz with `pose` (N, 72), `betas` (N, 10), `cam_t` (N, 3), which may be the
            keypoints' own file.
        solver: `lm` or `adam`; of `params` if left out.
        iterations: of the solver; of `params` if left out.
        device: where to compute, `cpu` or `cuda`.
        params: parameter file; sections `fitting` and `fit_initial`.
    """
    if iterations < 0 or (start == "mean" and solver == "adam"):
        raise UserError("--iterations: must be above 0; --solver adam: needs a --start file; change the call")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {device}: no such device here; use --device cpu")
    request = read_request(keypoints, None if start == "mean" else Path(start))
    settings = _settings(load_section(params, "fitting", FittingParams), solver, iterations)
    rules = load_section(params, "fit_initial", FitInitialParams)
    fitter = Fitter(load_body(body), load_mixture(prior), settings, device)

    seen = torch.from_numpy(request.keypoints)
    began = time.perf_counter()
    result = fitter.fit_from_mean(seen) if request.start is None else fitter.fit(request.start, seen)
    seconds = time.perf_counter() - began
    status = fit_status(result, seen.to(device), rules)
    status[torch.from_numpy(request.is_outside)] = STATUSES.index("outside_crop")
    save_fits(out, request, result, status.cpu().numpy(), seconds)
    say(f"fit: {len(seen)} people, {len(seen) / seconds:.0f} a second; {count_statuses(status)}")


def _settings(given: FittingParams, solver: str, iterations: int) -> FittingParams:
    """The parameters with what the command line says otherwise."""
    update: dict[str, Any] = {"solver": solver} if solver else {}
    if iterations:
        stages = given.mean_start.model_copy(update={"n_iterations": iterations})
        update |= {"n_iterations": iterations, "mean_start": stages}
    return given.model_copy(update=update)
