"""Fit a body to your own 2D keypoints, or to OpenPose's files."""

import time
from pathlib import Path
from typing import Any, Literal

import torch

from spinloop.body.model import make_body_model
from spinloop.body.users import load_users_body, refuse_regressed_joints
from spinloop.errors import UserError
from spinloop.fitting.offline import count_statuses, describe_statuses, fit_status
from spinloop.fitting.starts import STARTS, FittingSetup, Start, require_device, start_from, start_named
from spinloop.fitting.user_keypoints import PeopleToFit, read_people, read_start
from spinloop.fitting.user_results import save_fits, save_overlays
from spinloop.motion.mixture import PACKAGED_MIXTURE, load_mixture
from spinloop.params.fitting import FitInitialParams, FittingParams, PosingParams
from spinloop.params.loader import load_section
from spinloop.progress import say
from spinloop.tables.fits import STATUSES

SECTIONS = {"fitting": FittingParams, "fit_initial": FitInitialParams, "body": PosingParams}


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
    people = read_people(keypoints, openpose, images)
    n, observed = len(people.ids), torch.from_numpy(people.keypoints)
    found = load_users_body(body)
    refuse_regressed_joints(body, found, people.keypoints[..., 2] > 0)
    mixture = load_mixture(PACKAGED_MIXTURE if prior is None else prior)
    setup = FittingSetup(found.body, mixture, *_settings(params, solver, iterations), device)
    chosen = _choose_start(start, people, setup, lifter)

    began = time.perf_counter()
    result = chosen.fit(observed)
    seconds = time.perf_counter() - began
    status = fit_status(result, observed.to(device), setup.offline).cpu().numpy()
    status[people.is_outside] = STATUSES.index("outside_crop")
    save_fits(out, people.ids, result, status, seconds)
    say(f"fit: {n} people, {n / seconds:.0f} a second; {describe_statuses(count_statuses(status))}")
    if openpose is not None and images is not None:
        folder = overlays or out.with_name(f"{out.stem}_overlays")
        model = make_body_model(found.body, load_section(params, "body", PosingParams).engine)
        n_pictures = save_overlays(folder, people, model, result.state, status)
        say(f"fit: {n_pictures} pictures in {folder}")


def _settings(params: Path, solver: str, iterations: int) -> tuple[FittingParams, FitInitialParams]:
    """Sections `fitting` and `fit_initial`, with the solver and the iterations of the command line."""
    fitting = load_section(params, "fitting", FittingParams)
    offline = load_section(params, "fit_initial", FitInitialParams)
    update: dict[str, Any] = {"solver": solver} if solver else {}
    if iterations:
        changed = {"n_iterations": iterations}
        stages = [stage.model_copy(update=changed) for stage in fitting.mean_start.stages]
        update |= changed | {"mean_start": fitting.mean_start.model_copy(update={"stages": stages})}
        lifted_start = offline.lifted_start.model_copy(update=changed)
        offline = offline.model_copy(update={"lifted_start": lifted_start})
    return fitting.model_copy(update=update), offline


def _choose_start(start: str, people: PeopleToFit, setup: FittingSetup, lifter: Path | None) -> Start:
    """The start that the command line names; without one, that of the keypoints' file, else the mean pose."""
    given = people.start if start == "" else None
    if start not in ("", *STARTS):
        if not Path(start).is_file():
            raise UserError(f"--start {start}: no such file; give {', '.join(STARTS)} or an npz with a pose")
        given = read_start(Path(start), len(people.ids))
    if given is not None:
        return start_from(given, setup)
    if start != "lifted" and setup.fitting.solver == "adam":
        raise UserError(
            "--solver adam: needs a start, the mean pose is too far; give --start lifted or a file"
        )
    return start_named(start or "mean", setup, lifter)
