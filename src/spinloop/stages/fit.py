"""Command `fit`."""

import time
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from spinloop.errors import UserError
from spinloop.options import DetectorFormat, Out, ParamsFile


def run(
    *,
    body: Annotated[
        Path, Option(help="Body: a file of `prepare_body` or `convert_body`, or SMPL's own .pkl or .npz.")
    ],
    out: Annotated[
        Out,
        Option(
            help="Fits: npz with `ids`, `pose`, `betas`, `cam_t`, `joints`, `reprojection`, "
            "`objective`, `status`, `iterations` and `seconds`."
        ),
    ],
    prior: Annotated[
        Path | None,
        Option(help="Pose prior: npz of `fit_prior`, or SMPLify's .pkl. Default: the one in the package."),
    ] = None,
    keypoints: Annotated[
        Path | None,
        Option(
            help="Keypoints: npz with `keypoints` (N, 49, 3), x and y in pixels of a square crop "
            "around the person, and confidence; or (N, K, 3) of a detector's K joints "
            "(docs/formats.md). Optional arrays: `size`, the side of the crop (default 224), "
            "`ids`, and a start."
        ),
    ] = None,
    openpose: Annotated[
        Path | None,
        Option(
            help="Detections: a folder of OpenPose's files (`a_keypoints.json`), or the output of another "
            "detector (docs/formats.md); every person in them is fitted."
        ),
    ] = None,
    format: DetectorFormat = "auto",
    images: Annotated[
        Path | None, Option(help="Folder of their photographs (`a.jpg`), over which the fits are rendered.")
    ] = None,
    overlays: Annotated[
        Out | None, Option(help="Folder of these pictures. Default: `<out>_overlays`.")
    ] = None,
    start: Annotated[
        str,
        Option(
            help="`mean`, `lifted`, or an npz with `pose` (N, 72) and optionally `betas` (N, 10) and "
            "`cam_t` (N, 3). Default: the start in the file of keypoints, else `lifted`."
        ),
    ] = "",
    lifter: Annotated[
        Path | None,
        Option(help="Network of `train_lifter`, for `--start lifted`. Default: the one in the package."),
    ] = None,
    objective: Annotated[
        Literal["detections", "published", ""],
        Option(
            help="`detections`: fits that hug confident keypoints, in the stages of `fit.stages`; "
            "`published`: the paper's. Default: `published` with `--start mean` or `--solver adam`, "
            "else `detections`."
        ),
    ] = "",
    solver: Annotated[
        Literal["lm", "adam", ""], Option(help="`lm` or `adam`. Default: as the parameter file says.")
    ] = "",
    iterations: Annotated[
        int, Option(help="Iterations of the solver. Default: as the parameter file says.")
    ] = 0,
    device: Annotated[str, Option(help="`cpu` or `cuda`.")] = "cpu",
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit a body to your own 2D keypoints, or to a detector's files.

    Give `--keypoints FILE`, or `--openpose DIR --images DIR`. Pose, shape and camera of each person are
    fitted.
    """
    import torch

    from spinloop.body.model import make_body_model
    from spinloop.body.smpl import load_fittable_body, require_regressed_joints
    from spinloop.fitting.offline import count_statuses, describe_statuses, fit_status
    from spinloop.fitting.results import save_fits, save_overlays
    from spinloop.fitting.starts import FittingSetup, choose_start, fitted_in_stages, require_device
    from spinloop.fitting.user_detections import read_people
    from spinloop.motion.mixture import PACKAGED_MIXTURE, load_mixture
    from spinloop.params.fitting import FitInitialParams, FitParams, FittingParams, PosingParams
    from spinloop.params.loader import load_section
    from spinloop.progress import say
    from spinloop.tables.fits import STATUSES

    if iterations < 0:
        raise UserError(f"--iterations {iterations}: must be above 0; change the call")
    require_device(device)
    people = read_people(keypoints, openpose, images, format)
    say(f"fit: {people.about}")
    n, observed = len(people.ids), torch.from_numpy(people.keypoints)
    found = load_fittable_body(body)
    require_regressed_joints(body, found, people.keypoints[..., 2] > 0)
    mixture = load_mixture(PACKAGED_MIXTURE if prior is None else prior)
    fitting = load_section(params, "fitting", FittingParams)
    offline = load_section(params, "fit_initial", FitInitialParams)
    setup = FittingSetup(found.body, mixture, fitting, offline, device)
    if solver:
        setup = setup.with_solver(solver)
    if iterations:
        setup = setup.with_iterations(iterations)
    is_adam = setup.fitting.solver == "adam"
    if is_adam and objective == "detections":
        raise UserError("--objective detections: needs the solver lm, adam has no anchor; give --solver lm")
    chosen = choose_start(start, people, setup, lifter)
    if objective == "detections" or not (objective or is_adam or chosen.is_far):
        params_of_fit = load_section(params, "fit", FitParams).with_iterations(iterations)
        chosen = fitted_in_stages(chosen, setup, params_of_fit)

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
