"""Fit a body to your own 2D keypoints, or to OpenPose's files."""

import time
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch

from spinloop.body.model import make_body_model
from spinloop.body.users import load_users_body, refuse_regressed_joints
from spinloop.errors import UserError
from spinloop.fitting.offline import count_statuses, fit_status
from spinloop.fitting.photographs import Photographs, draw_overlays, read_photographs
from spinloop.fitting.request import Request, read_request, read_start, save_fits
from spinloop.fitting.starts import STARTS, Start, Workshop, given_start, prepare_start, require_device
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import FitInitialParams, FittingParams, PosingParams
from spinloop.params.loader import load_section
from spinloop.progress import say
from spinloop.rendering.pictures import SKY_BLUE
from spinloop.tables.fits import STATUSES

SECTIONS = {"fitting": FittingParams, "fit_initial": FitInitialParams, "body": PosingParams}

# What a fit is drawn in: good ones, doubtful ones; of the others only the joints.
_COLORS = dict.fromkeys(("converged", "max_iterations"), SKY_BLUE) | dict.fromkeys(
    ("rejected_reprojection", "shape_out_of_range"), (0.95, 0.45, 0.2)
)


def run(
    *,
    body: Path,
    out: Path,
    prior: Path | None = None,
    keypoints: Path | None = None,
    openpose: Path | None = None,
    images: Path | None = None,
    overlays: Path | None = None,
    start: str = "",
    lifter: Path | None = None,
    solver: Literal["lm", "adam", ""] = "",
    iterations: int = 0,
    device: str = "cpu",
    params: Path = Path("params.yaml"),
) -> None:
    """Fit pose, shape and camera of each person: `--keypoints FILE`, or `--openpose DIR --images DIR`.

    Args:
        body: a file of `prepare_body` or `convert-body`, or SMPL's own .pkl or .npz.
        out: npz with `ids, pose, betas, cam_t, joints, reprojection, objective, status, iterations, seconds`.
        prior: the mixture of poses: npz of `fit_prior`, or SMPLify's .pkl; the package's own if left out.
        keypoints: npz with `keypoints` (N, 49, 3): x, y in pixels of a square crop around the person, and
            confidence (or (N, 25, 3), OpenPose alone); if wanted `size`, the side of the crop (else 224),
            `ids`, and a start.
        openpose: folder of OpenPose's BODY_25 files (`a_keypoints.json`); everybody in them is fitted.
        images: folder of their photographs (`a.jpg`), on which the fits are drawn.
        overlays: folder for the drawings; `<out>_overlays` if left out.
        start: `mean`, `lifted`, or an npz with `pose` (N, 72) and if wanted `betas` (N, 10), `cam_t` (N, 3);
            if left out, that of the keypoints' file, or else the mean pose.
        lifter: file of `train_lifter`, for `--start lifted`.
        solver: `lm` or `adam`; of `params` if left out.
        iterations: of the solver; of `params` if left out.
        device: where to compute, `cpu` or `cuda`.
        params: parameter file; sections `fitting`, `fit_initial` and `body`.
    """
    if iterations < 0:
        raise UserError(f"--iterations {iterations}: must be above 0; change the call")
    require_device(device)
    photographs, request = _people(keypoints, openpose, images)
    n, seen = len(request.ids), torch.from_numpy(request.keypoints)
    found = load_users_body(body)
    refuse_regressed_joints(body, found, request.keypoints[..., 2] > 0)
    fitting, rules = _settings(params, solver, iterations)
    mixture = _prior(prior)
    begun = _begin(start, request, Workshop(found.body, mixture, fitting, rules, device), lifter)

    began = time.perf_counter()
    result = begun.solve(seen)
    seconds = time.perf_counter() - began
    status = fit_status(result, seen.to(device), rules)
    status[torch.from_numpy(request.is_outside)] = STATUSES.index("outside_crop")
    save_fits(out, request, result, status.cpu().numpy(), seconds)
    say(f"fit: {n} people, {n / seconds:.0f} a second; {count_statuses(status)}")
    if photographs is not None and images is not None:
        folder = overlays or out.with_name(f"{out.stem}_overlays")
        colors = [_COLORS.get(STATUSES[code]) for code in status.tolist()]
        model = make_body_model(found.body, load_section(params, "body", PosingParams).engine)
        n_drawn = draw_overlays(folder, photographs, model, result.state, colors)
        say(f"fit: {n_drawn} pictures in {folder}")


def _people(
    keypoints: Path | None, openpose: Path | None, images: Path | None
) -> tuple[Photographs | None, Request]:
    if keypoints is not None and openpose is None and images is None:
        return None, read_request(keypoints)
    if openpose is None or keypoints is not None:
        raise UserError("fit: give --keypoints FILE, or --openpose DIR --images DIR; change the call")
    photographs = read_photographs(openpose, images)
    return photographs, photographs.request


def _prior(path: Path | None) -> Mixture:
    if path is not None:
        return load_mixture(path)
    with resources.as_file(resources.files("spinloop") / "assets" / "cmu_mixture.npz") as shipped:
        return load_mixture(shipped)


def _begin(start: str, request: Request, workshop: Workshop, lifter: Path | None) -> Start:
    own = request.start if start == "" else None
    if start not in ("", *STARTS):
        if not Path(start).is_file():
            raise UserError(f"--start {start}: no such file; give {', '.join(STARTS)} or an npz with a pose")
        own = read_start(Path(start), len(request.ids))
    if own is not None:
        return given_start(own, workshop)
    if start != "lifted" and workshop.fitting.solver == "adam":
        raise UserError(
            "--solver adam: needs a start, the mean pose is too far; give --start lifted or a file"
        )
    return prepare_start(start or "mean", workshop, lifter)


def _settings(params: Path, solver: str, iterations: int) -> tuple[FittingParams, FitInitialParams]:
    """The parameters with what the command line says otherwise."""
    fitting = load_section(params, "fitting", FittingParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    update: dict[str, Any] = {"solver": solver} if solver else {}
    if iterations:
        changed = {"n_iterations": iterations}
        stages = [stage.model_copy(update=changed) for stage in fitting.mean_start.stages]
        update |= changed | {"mean_start": fitting.mean_start.model_copy(update={"stages": stages})}
        rules = rules.model_copy(update={"lifted_start": rules.lifted_start.model_copy(update=changed)})
    return fitting.model_copy(update=update), rules
