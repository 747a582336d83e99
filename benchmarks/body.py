"""How fast posed joints and their derivatives come without the mesh, against smplx.

Both pose the same batch on the same body in one process, their turns interleaved so that other work on the
machine disturbs both alike. smplx poses all vertices and regresses the extra joints from them, as SPIN does;
its derivative is one backward pass (the gradient of a single number), ours the whole Jacobian of 49 joints by
72 pose and 10 shape numbers. The goals are a forward pass at least ten times as fast, and forward with
Jacobian in at most 1.5 times as long as smplx's forward and backward.

    python benchmarks/body.py --body data/body/neutral.npz
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinloop.body.files import BodyFile, load_body
from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel, SmplxBodyModel


def main() -> None:
    """Print a table for the body as it is and for one whose pose blend shapes are as dense as SMPL's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each table")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, for a busy machine")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.cpu_time else time.perf_counter
    body = load_body(given.body)
    for name, one in (("body", body), ("body with dense blend shapes", densely_blended(body))):
        for batch in given.batch:
            print(f"\n{name}, batch {batch}, {given.threads} threads: median ms, ratio to smplx")
            table(measure(candidates(one, batch), given.seconds, clock))


def densely_blended(body: BodyFile) -> BodyFile:
    """The body with random pose blend shapes at every vertex, as many as a real SMPL file has."""
    arrays: dict[str, Any] = dict(vars(body))
    arrays["posedirs"] = np.random.default_rng(0).normal(0, 1e-4, body.posedirs.shape).astype(np.float32)
    return BodyFile(**arrays)


def candidates(body: BodyFile, batch: int) -> dict[str, Callable[[], Any]]:
    """What is timed; the first of each kind is smplx."""
    generator = torch.Generator().manual_seed(0)
    pose, betas = (
        0.4 * torch.randn(batch, 72, generator=generator),
        torch.randn(batch, 10, generator=generator),
    )
    reference, meshes, joints = SmplxBodyModel(body), BodyModel(body), JointsOnly(body)

    def backward(model: BodyModel | JointsOnly) -> Any:
        leaves = [tensor.clone().requires_grad_() for tensor in (pose, betas)]
        found = model.joints(*leaves) if isinstance(model, JointsOnly) else model(*leaves).joints49
        return torch.autograd.grad(found.sum(), leaves)

    with torch.no_grad():
        apart = (joints.joints(pose, betas) - reference(pose, betas).joints49).abs().max()
    print(f"joints-only and smplx differ by {apart:.1e} m")
    return {
        "forward: smplx": torch.no_grad()(lambda: reference(pose, betas)),
        "forward: our mesh": torch.no_grad()(lambda: meshes(pose, betas)),
        "forward: joints only": torch.no_grad()(lambda: joints.joints(pose, betas)),
        "derivative: smplx, backward": lambda: backward(reference),
        "derivative: our mesh, backward": lambda: backward(meshes),
        "derivative: joints only, backward": lambda: backward(joints),
        "derivative: joints only, whole Jacobian": torch.no_grad()(
            lambda: joints.joints_and_jacobian(pose, betas)
        ),
    }


def measure(
    functions: dict[str, Callable[[], Any]], seconds: float, clock: Callable[[], float]
) -> dict[str, float]:
    """Median time of each, ms; all are called in turn until the time is over."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[min(times)]) < 3:
        for name, function in functions.items():
            began = clock()
            function()
            times[name].append(1000 * (clock() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def table(medians: dict[str, float]) -> None:
    """One row each; the ratio is to smplx's time for the same kind of work."""
    baseline = 1.0
    for name, median in medians.items():
        baseline = median if "smplx" in name else baseline
        times, share = baseline / median, median / baseline
        print(f"{name:42s} {median:9.2f}  {times:6.2f} times as fast, {share:5.2f} of its time")


if __name__ == "__main__":
    main()
