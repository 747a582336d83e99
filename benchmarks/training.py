"""Where the time of a training step goes: `python benchmarks/training.py --help`.

Three things, in one process: a step with the fit in the loop against one with static fits, the data loader
alone against what a step needs, and the parts of a step. Processor time of the calling thread
(`time.thread_time`) on the CPU, so that other work on the machine disturbs little (run it with
`OMP_NUM_THREADS=1`); wall time on a GPU. The files are those of a project that has run. The state of the run
goes to a temporary folder and is thrown away.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch

from spinloop.params.fitting import FittingParams, PosingParams
from spinloop.params.loader import load_section
from spinloop.params.training import MonitorParams, NetworkParams, SettingParams, TrainParams
from spinloop.regression.weights import OFFICIAL
from spinloop.training.distributed import ProcessGroup
from spinloop.training.loop import TrainingRun, generator_of
from spinloop.training.setup import TrainingFiles, TrainingSections, prepare_run
from spinloop.training.step import train_step

WARM_UP = 1


class Stopwatch:
    """Times of named calls."""

    def __init__(self, device):
        self.times, self.device = defaultdict(list), device

    def now(self):
        """Seconds: wall time on a GPU, else processor time of this thread."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.thread_time()

    def wrap(self, name, function):
        """The same function, timed under a name."""

        def timed(*arguments, **options):
            start = self.now()
            try:
                return function(*arguments, **options)
            finally:
                self.times[name].append(self.now() - start)

        return timed


def measure(run: TrainingRun, n_steps: int) -> dict[str, float]:
    """Median time of each part of a step, all its calls together, seconds; the first steps warm up."""
    context, network, fitter = run.context, run.context.network, run.context.fitter
    stopwatch = Stopwatch(network.device)
    module = network.module.train()
    module.features = stopwatch.wrap("backbone, forward", module.features)
    fitter.fit = stopwatch.wrap("fit", fitter.fit)
    fitter.place = stopwatch.wrap("comparison of old and new fit", fitter.place)
    batches = run.loader.batches(range(n_steps + WARM_UP), 0)
    next_batch = stopwatch.wrap("data", lambda: next(batches).to(network.device))
    timed_step = stopwatch.wrap("step without backward", train_step)
    update = stopwatch.wrap("backward and optimizer", network.update)
    parts = []
    for step in range(1, n_steps + WARM_UP + 1):
        stopwatch.times.clear()
        batch = next_batch()
        start = stopwatch.now()
        result = timed_step(context, batch, step, generator_of(0, step))
        update(result.total, context.params.learning_rate)
        stopwatch.times["step without data"].append(stopwatch.now() - start)
        parts.append({name: sum(times) for name, times in stopwatch.times.items()})
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: statistics.median(part.get(name, 0.0) for part in parts[WARM_UP:]) for name in names}


def prepare(given: argparse.Namespace, loop: bool, folder: Path) -> TrainingRun:
    train = load_section(given.params, "train", TrainParams)
    network = load_section(given.params, "network", NetworkParams)
    if given.paper:
        network, train = OFFICIAL, train.model_copy(update={"batch_size": 64})
    sections = TrainingSections(
        network,
        train.model_copy(update={"device": given.device}),
        SettingParams(loop=loop, use_3d=False),
        load_section(given.params, "fitting", FittingParams),
        MonitorParams(sheet_every=0, sheet_people=1, tensorboard=False, dvclive=False),
        load_section(given.params, "body", PosingParams),
    )
    data = given.project / "data"
    files = TrainingFiles(
        body=data / "body/neutral.npz",
        prior=data / "prior/mixture.npz",
        keypoints=data / "keypoints",
        crops=data / "crops",
        fits=data / "fits/initial",
        annotations=None,
    )
    processes = ProcessGroup(device=given.device)
    return prepare_run(files, sections, folder / "state", folder / "monitor", processes)


def main() -> None:
    """Print the time of each part, and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path(), help="folder of a project that has run")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--paper", action="store_true", help="ResNet-50, 224 px, batches of 64")
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    times = {}
    for name, loop in (("static", False), ("loop", True)):
        with tempfile.TemporaryDirectory() as folder:
            run = prepare(given, loop, Path(folder))
            times[name] = measure(run, given.steps)
    print(f"batches of {run.context.params.batch_size}, {given.device}, {torch.get_num_threads()} threads")
    for name, seconds in sorted(times["loop"].items(), key=lambda item: -item[1]):
        print(f"{name:32s} {1000 * seconds:9.1f} ms")
    static, looped = (times[name]["step without data"] for name in ("static", "loop"))
    loader = statistics.median(times[name]["data"] for name in times)
    print(f"step: static {1000 * static:.0f} ms, loop {1000 * looped:.0f} ms: {looped / static - 1:+.1%}")
    print(f"images/s in the loop: {run.context.params.batch_size / (looped + loader):.1f}")
    print(f"one loader makes batches {looped / loader:.1f} times as fast as a step needs them")
    if given.device == "cuda":
        print(f"memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
