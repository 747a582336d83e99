"""Speed and quality of fits: Levenberg-Marquardt against the published procedure.

The published procedure is Adam, 100 + 100 steps, through all vertices of smplx's body; both fit the same
keypoints from the same start in one process. People are sampled from the prior, their keypoints have noise
and gaps, and the start is the truth with noise on every angle. The objective in the table is the paper's in
every row: it does not contain the anchor's term.

    python benchmarks/fitting.py --body data/body/neutral.npz --prior data/prior/mixture.npz
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import smplx
import torch
from scipy.spatial.transform import Rotation

from spinloop.body.files import BodyFile, load_body
from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter
from spinloop.fitting.solvers import fit_adam
from spinloop.geometry.camera import project
from spinloop.geometry.procrustes import procrustes_align
from spinloop.joints import COMMON24_TO_J14, MODEL49_FROM_SOURCE54, N_OPENPOSE
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_section
from spinloop.tables.fits import FitResult

JOINTS14 = [N_OPENPOSE + joint for joint in COMMON24_TO_J14]


class People(NamedTuple):
    """Known bodies, their keypoints, and where a fit starts."""

    truth: BodyState
    joints: torch.Tensor
    keypoints: torch.Tensor
    start: BodyState


class MeshSkeleton(torch.nn.Module):
    """The 49 joints through all vertices of smplx, as the published code computes them."""

    def __init__(self, body: BodyFile) -> None:
        super().__init__()
        data = SimpleNamespace(**vars(body))
        self.model = smplx.SMPL("", data_struct=data, num_betas=10, create_transl=False)
        self.register_buffer("extra", torch.from_numpy(body.J_regressor_extra))
        self.order = list(MODEL49_FROM_SOURCE54)

    def joints(self, pose: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """Posed joints, metres."""
        out = self.model(betas=betas, global_orient=pose[:, :3], body_pose=pose[:, 3:])
        return torch.cat([out.joints, self.extra @ out.vertices], dim=1)[:, self.order]


def main() -> None:
    """Print one table for each body and kind of start."""
    options = _options()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    params = load_section(options.params, "fitting", FittingParams)
    prior = load_mixture(options.prior)
    for name, body in (("free body", load_body(options.body)), ("random body", random_body(options.body))):
        for noise in options.noise:
            people = sample_people(Fitter(body, prior, params), prior, max(options.batch), noise)
            print(f"\n{name}, start off by {noise} rad, {options.threads} threads")
            print("solver                   batch   fits/s  ratio   mean obj  median    p95   3D mm  peak MB")
            adam = published(body, prior, params, options.adam_steps)
            slow = measure("adam, meshes", adam, people, options.adam_batch, None, clock)
            for batch in options.batch:
                for row, update in lm_settings(options.steps, options.anchor_weight):
                    lm = Fitter(body, prior, params.model_copy(update=update))
                    measure(row, lm.fit, people, batch, slow, clock)
            fitter = Fitter(body, prior, params)
            for batch in options.batch:
                measure(
                    "lm, mean pose",
                    lambda _, seen, f=fitter: f.fit_from_mean(seen),
                    people,
                    batch,
                    slow,
                    clock,
                )


def lm_settings(steps: list[int], anchor_weights: list[float]) -> list[tuple[str, dict[str, Any]]]:
    """Names and parameters of the fits from a start; the first number of steps also with each anchor."""
    plain = [(f"lm, {n} steps", {"n_iterations": n, "anchor": "none"}) for n in steps]
    anchored = {"n_iterations": steps[0], "anchor": "fixed"}
    return plain + [
        (f"lm, {steps[0]} steps, anchor {weight:.0f}", anchored | {"anchor_weight": weight})
        for weight in anchor_weights
    ]


def published(
    body: BodyFile, prior: Mixture, params: FittingParams, steps: int
) -> Callable[[BodyState, torch.Tensor], FitResult]:
    """The published procedure, through meshes; a whole batch at once, with all threads in every operation."""
    settings = params.model_copy(update={"solver": "adam", "n_iterations": steps})
    fitter = Fitter(body, prior, settings)
    object.__setattr__(fitter.objective, "skeleton", MeshSkeleton(body))

    def fit(start: BodyState, seen: torch.Tensor) -> FitResult:
        state = fit_adam(fitter.objective, settings, start, seen)
        joints, terms = fitter.joints(state), fitter.terms(state, seen)
        tried = torch.full((len(seen),), 2 * steps)
        return FitResult(state, joints, terms.reprojection, terms.total, tried, tried < 0)

    return fit


def measure(
    name: str,
    fit: Callable[[BodyState, torch.Tensor], FitResult],
    people: People,
    batch: int,
    slow: float | None,
    clock: Callable[[], float],
) -> float:
    """Fit the first `batch` people, print a row, return fits per second."""
    start, seen = BodyState(*(part[:batch] for part in people.start)), people.keypoints[:batch]
    if slow is not None:
        fit(start, seen)
    began, n_fits, result = clock(), 0, None
    while result is None or (slow is not None and clock() - began < 1):
        result, n_fits = fit(start, seen), n_fits + batch
    rate = n_fits / (clock() - began)
    objective = result.objective.numpy()
    found, true = (part[:batch, JOINTS14].double().numpy() for part in (result.joints, people.joints))
    error_mm = 1000 * np.linalg.norm(procrustes_align(found, true) - true, axis=-1).mean()
    ratio = "" if slow is None else f"{rate / slow:.0f}x"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:24s} {batch:5d} {rate:8.1f} {ratio:>6s} {objective.mean():10.0f} {np.median(objective):7.0f} "
        f"{np.quantile(objective, 0.95):6.0f} {error_mm:7.1f} {peak:8.0f}",
        flush=True,
    )
    return rate


def sample_people(fitter: Fitter, prior: Mixture, n: int, noise: float) -> People:
    """Random people and cameras; the seed is fixed."""
    rng = np.random.default_rng(0)
    yaw, tilt = rng.uniform(-180, 180, (n, 1)), rng.normal(0, 10, (n, 1))
    flip = Rotation.from_euler("x", 180, degrees=True)
    root = flip * Rotation.from_euler("y", yaw, degrees=True) * Rotation.from_euler("x", tilt, degrees=True)
    pose = np.concatenate([root.as_rotvec(), prior.sample(n, rng)], axis=1)
    place = np.stack([rng.normal(0, 0.1, n), rng.normal(0, 0.1, n), rng.uniform(45, 60, n)], axis=1)
    truth = BodyState(*(torch.tensor(part).float() for part in (pose, rng.normal(0, 1, (n, 10)), place)))
    joints = fitter.joints(truth)
    pixels = project(joints, truth.translation) + torch.tensor(rng.normal(0, 3, (n, 49, 2))).float()
    confidence = np.concatenate([rng.uniform(0.4, 1, (n, 25)), np.ones((n, 24))], axis=1)
    confidence[rng.random((n, 49)) < 0.15] = 0
    seen = torch.cat([pixels, torch.tensor(confidence)[..., None].float()], dim=-1)
    noisy = truth.pose + noise * torch.tensor(rng.standard_normal((n, 72))).float()
    moved = truth.translation + torch.tensor([0.02, 0.02, 1.0])
    return People(truth, joints, seen, BodyState(noisy, torch.zeros(n, 10), moved))


def random_body(like: Path) -> BodyFile:
    """The body with random blend shapes added and skinning weights blurred: as dense as a real SMPL file."""
    body, rng = load_body(like), np.random.default_rng(0)
    arrays = dict(vars(body))
    arrays["posedirs"] = rng.normal(0, 1e-4, body.posedirs.shape).astype(np.float32)
    return BodyFile(**arrays)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, for a busy machine")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--steps", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--anchor-weight", type=float, nargs="+", default=[100.0], help="px² per rad²")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.25])
    parser.add_argument("--adam-steps", type=int, default=100)
    parser.add_argument("--adam-batch", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    main()
