"""3D error of fits to real detections: single views of a real person against triangulated joints.

Every view is fitted alone, from each start and with each solver. For MPJPE the root is the middle of the
hips, and each fit is rotated by the direction of its crop, since the crop's camera looks there.

    python benchmarks/real_detections.py --data FOLDER --body data/body/neutral.npz \
        --prior data/prior/mixture.npz --lifter models/lifter.pt

The folder holds `balancing_eval.npz`: detections `kp25` (N, 25, 3) of OpenPose, px; joints `S` (N, 21, 3) in
the axes of each camera, metres, with names `S_names`; camera matrices `K` (N, 3, 3).
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.files import BodyFile, load_body
from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.geometry.crop import crop_keypoints
from spinloop.geometry.procrustes import procrustes_align
from spinloop.joints import COMMON24, LIMB12, N_OPENPOSE, index_map
from spinloop.keypoints.merge import merge_joints
from spinloop.lifting.network import lift, load_lifter
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.loader import load_section
from spinloop.tables.fits import FitResult
from spinloop.tables.records import bounding_square

LIMBS = [N_OPENPOSE + joint for joint in index_map(COMMON24, LIMB12)]
_HIPS = list(index_map(LIMB12, ["right_hip", "left_hip"]))


class Views(NamedTuple):
    """Single views of a person."""

    keypoints: torch.Tensor
    """(N, 49, 3), pixels of the crops."""
    truth: np.ndarray
    """(N, 12, 3), `LIMB12`, metres, camera axes."""
    from_crop: Rotation
    """From the axes of each crop's camera to those of the image's."""


def main() -> None:
    """Print a row for each start and solver."""
    options = _options()
    torch.set_num_threads(1)
    views = read_views(options.data / "balancing_eval.npz")
    fitting = load_section(options.params, "fitting", FittingParams)
    rules = load_section(options.params, "fit_initial", FitInitialParams)
    body, prior = load_body(options.body), load_mixture(options.prior)
    seen, lifter = views.keypoints, load_lifter(options.lifter)
    plain = Fitter(body, prior, fitting.model_copy(update={"anchor": "none"}))
    mean = plain.mean_pose(seen)
    lifted = lift(lifter, seen)
    print("start    solver            reprojection  MPJPE mm  PA-MPJPE mm   worst")
    for name, start in (("mean", mean), ("lifted", lifted)):
        report(name, "none", plain, start, plain.joints(start), views)
    for camera in ("free", "staged"):
        fitter = Fitter(body, prior, fitting.model_copy(update={"anchor": "none", "camera": camera}))
        show("mean", f"lm, {camera}", fitter, fitter.fit_from_mean(seen), views)
        for weight in sorted({0.0, rules.lifted_start.anchor_weight}):
            update = {
                "anchor": "fixed",
                "anchor_weight": weight,
                "camera": camera,
                "n_iterations": rules.lifted_start.n_iterations,
            }
            fitter = Fitter(body, prior, fitting.model_copy(update=update))
            show("lifted", f"lm, {camera}, {weight:.0f}", fitter, fitter.fit(lifted, seen), views)
    for name, start in (("mean", mean), ("lifted", lifted)):
        adam = published(body, prior, fitting)
        show(name, "adam, 100 + 100", adam, adam.fit(start, seen), views)


def published(body: BodyFile, prior: Mixture, fitting: FittingParams) -> Fitter:
    """The published solver."""
    update = {"solver": "adam", "n_iterations": 100, "anchor": "none"}
    return Fitter(body, prior, fitting.model_copy(update=update))


def show(start: str, solver: str, fitter: Fitter, result: FitResult, views: Views) -> None:
    """Print the row of some fits."""
    report(start, solver, fitter, result.state, result.joints, views)


def report(
    start: str, solver: str, fitter: Fitter, state: BodyState, joints: torch.Tensor, views: Views
) -> None:
    """Print the row of some bodies."""
    error = fitter.reprojection(fitter.place(state, views.keypoints), views.keypoints).mean(-1)
    found = joints[:, LIMBS].double().numpy()
    rotated = np.stack([each.apply(points) for each, points in zip(views.from_crop, found, strict=True)])
    rotated, truth = (each - each[:, _HIPS].mean(1, keepdims=True) for each in (rotated, views.truth))
    direct = 1e3 * np.linalg.norm(rotated - truth, axis=-1).mean(-1)
    aligned = 1e3 * np.linalg.norm(procrustes_align(found, truth) - truth, axis=-1).mean(-1)
    print(
        f"{start:8s} {solver:18s} {error.mean():11.2f} {direct.mean():9.1f} {aligned.mean():12.1f} "
        f"{aligned.max():7.0f}",
        flush=True,
    )


def read_views(path: Path) -> Views:
    """Detections in pixels of each person's crop, and the triangulated joints."""
    with np.load(path, allow_pickle=False) as file:
        detected, joints, matrices = file["kp25"].astype(float), file["S"].astype(float), file["K"]
        names = [_name(str(name)) for name in file["S_names"]]
    boxes = [bounding_square(person[person[:, 2] > 0, :2], 1.2) for person in detected]
    centers = np.array([box.center for box in boxes if box])
    scales = np.array([box.scale for box in boxes if box])
    both = np.stack([merge_joints(None, person) for person in detected])
    keypoints = crop_keypoints(both, centers, scales).astype(np.float32)
    homogeneous = np.concatenate([centers, np.ones((len(centers), 1))], axis=1)
    rays = np.linalg.solve(matrices, homogeneous[..., None])[..., 0]
    from_crop = Rotation.concatenate([_toward(ray / np.linalg.norm(ray)) for ray in rays])
    return Views(torch.from_numpy(keypoints), joints[:, list(index_map(names, LIMB12))], from_crop)


def _toward(ray: np.ndarray) -> Rotation:
    """The smallest rotation that takes the optical axis to a ray."""
    axis = np.cross([0.0, 0.0, 1.0], ray)
    angle = np.arctan2(np.linalg.norm(axis), ray[2])
    return Rotation.from_rotvec(axis / max(np.linalg.norm(axis), 1e-12) * angle)


def _name(name: str) -> str:
    """`RHip` → `right_hip`."""
    side = {"R": "right_", "L": "left_"}.get(name[0], "")
    return (side + name[1:] if side else name).lower()


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--lifter", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
