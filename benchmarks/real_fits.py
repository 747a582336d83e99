"""Fits of real detections: how near they are to confident keypoints, and to real 3D where there is any.

Each objective of `spinloop fit` from each start, with the lifter and the prior of the package:

    python benchmarks/real_fits.py TRIAL --body data/body/neutral.npz [--detections DIR]

PCK is the share of keypoints with confidence above 0.5 whose error is below 5 % of the person's size, the
longer side of the box of those keypoints. PA-MPJPE is that of `real_detections.py`, which says what a trial's
`balancing_eval.npz` holds. The folder of `--detections` has detections without any 3D.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from real_detections import LIMBS, read_views

from spinloop.body.files import load_body
from spinloop.fitting.objective import FITTED_JOINTS
from spinloop.fitting.starts import FittingSetup, Start, fitted_in_stages, start_named
from spinloop.fitting.user_detections import read_people
from spinloop.geometry.camera import project
from spinloop.geometry.procrustes import procrustes_align
from spinloop.motion.mixture import PACKAGED_MIXTURE, load_mixture
from spinloop.params.fitting import FitInitialParams, FitParams, FitStage, FittingParams
from spinloop.params.loader import load_section

_CONFIDENT, _NEAR = 0.5, 0.05


def main() -> None:
    """Print a row for each start and objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trial", type=Path, nargs="+")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--lifter", type=Path, default=None)
    parser.add_argument("--detections", type=Path, default=None)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    params = options.params
    setup = FittingSetup(
        load_body(options.body),
        load_mixture(PACKAGED_MIXTURE),
        load_section(params, "fitting", FittingParams),
        load_section(params, "fit_initial", FitInitialParams),
    )
    views = [read_views(folder / "balancing_eval.npz") for folder in options.trial]
    seen = [each.keypoints for each in views]
    if options.detections is not None:
        seen.append(torch.from_numpy(read_people(None, options.detections, None).keypoints))
    names = [*(str(folder) for folder in options.trial), "detections"][: len(seen)]
    print("  ".join(f"{name[-24:]}: PA-MPJPE mm, PCK %, median px" for name in names))
    for name, start in _rows(setup, load_section(params, "fit", FitParams), options.lifter):
        cells = []
        for number, keypoints in enumerate(seen):
            state = start.fit(keypoints).state
            joints = start.fitter.joints(state)
            error = "     "
            if number < len(views):
                truth, found = views[number].truth, joints[:, LIMBS].double().numpy()
                aligned = np.linalg.norm(procrustes_align(found, truth) - truth, axis=-1)
                error = f"{1e3 * aligned.mean():5.1f}"
            share, median = pck(project(joints, state.translation), keypoints)
            cells.append(f"{error} {share:5.1f} {median:4.1f}")
        print(f"{name:48s} {'  '.join(cells)}", flush=True)


def pck(pixels: torch.Tensor, keypoints: torch.Tensor) -> tuple[float, float]:
    """Percentage of confident keypoints that are near, and the median error in pixels of the crop."""
    pixels, keypoints = pixels[:, FITTED_JOINTS], keypoints[:, FITTED_JOINTS]
    is_confident = keypoints[..., 2] > _CONFIDENT
    places, outside = keypoints[..., :2], ~is_confident[..., None]
    low = places.masked_fill(outside, torch.inf).amin(1)
    high = places.masked_fill(outside, -torch.inf).amax(1)
    error, size = (pixels - places).norm(dim=-1), (high - low).amax(-1, keepdim=True)
    is_near = (error < _NEAR * size)[is_confident]
    return 100 * float(is_near.float().mean()), float(error[is_confident].median())


def _rows(setup: FittingSetup, params: FitParams, lifter: Path | None) -> Iterator[tuple[str, Start]]:
    """The starts alone, the published objective, and variants of the stages; last the default."""
    starts = {name: start_named(name, setup, lifter) for name in ("mean", "lifted")}
    for name, start in starts.items():
        yield f"{name}, published", start
    first, second = params.stages
    for title, stages in {
        "one stage": [first],
        "one stage, prior 4.78": [_with(first, pose=4.78)],
        "two stages, prior 4.78": [_with(first, pose=4.78), _with(second, pose=4.78)],
        "two stages, anchor 300": [_with(first, anchor_weight=300.0), _with(second, anchor_weight=300.0)],
        "two stages, angle 15.2": [_with(first, angle=15.2), _with(second, angle=15.2)],
        "two stages, angle 2": [_with(first, angle=2.0), _with(second, angle=2.0)],
        "three stages": [first, second, second],
    }.items():
        yield f"lifted, {title}", fitted_in_stages(starts["lifted"], setup, FitParams(stages=stages))
    for name, start in starts.items():
        yield f"{name}, detections (default)", fitted_in_stages(start, setup, params)


def _with(stage: FitStage, **changes: float) -> FitStage:
    return stage.model_copy(update=changes)


if __name__ == "__main__":
    main()
