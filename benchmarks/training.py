"""Where the time of a training step goes: `python benchmarks/training.py --help`.

Measures processor time of the calling thread (`time.thread_time`), so that other work on the machine disturbs
little; run it with `OMP_NUM_THREADS=1`. The state of the run goes to a temporary folder and is thrown away.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch

from spinloop.params.body import PosingParams
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_section
from spinloop.params.training import NetworkParams, SettingParams, TrainParams
from spinloop.training.data import make_batch
from spinloop.training.loop import Run, stream
from spinloop.training.setup import Inputs, Sections, prepare_run
from spinloop.training.step import take_step


class Stopwatch:
    """Processor time of named calls."""

    def __init__(self):
        self.times = defaultdict(list)

    def wrap(self, name, function):
        """The same function, its time noted under a name."""

        def timed(*arguments, **options):
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.times[name].append(time.thread_time() - start)

        return timed


def measure(run: Run, n_steps: int) -> dict[str, list[float]]:
    """Time of each part of `n_steps` steps, seconds; the first two, which warm up, are left out."""
    watch, apparatus = Stopwatch(), run.apparatus
    network = apparatus.network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=run.params.learning_rate)
    network.forward = watch.wrap("forward", network.forward)
    apparatus.fitter.fit = watch.wrap("fit", apparatus.fitter.fit)
    apparatus.fitter.place = watch.wrap("place (twice)", apparatus.fitter.place)
    batches = watch.wrap("data", make_batch)
    take = watch.wrap("step without backward", take_step)
    for step in range(1, n_steps + 1):
        start = time.thread_time()
        draws = run.samples.step(step - 1)
        batch = batches(run.splits, draws, run.params.augmentation, run.image_px)
        result = take(apparatus, batch, run.setting, run.params, step, stream(0, step))
        optimizer.zero_grad(set_to_none=True)
        watch.wrap("backward", result.total.backward)()
        watch.wrap("optimizer", optimizer.step)()
        watch.times["whole step"].append(time.thread_time() - start)
    calls = {name: len(times) // n_steps for name, times in watch.times.items()}
    return {name: times[2 * calls[name] :] for name, times in watch.times.items() if calls[name]}


def main() -> None:
    """Print the median of each part, milliseconds per step."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("body", "prior", "keypoints", "crops", "fits"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--setting", default="loop")
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    sections = Sections(
        load_section(given.params, "network", NetworkParams),
        load_section(given.params, "train", TrainParams),
        load_section(given.params, f"settings.{given.setting}", SettingParams),
        load_section(given.params, "fitting", FittingParams),
        load_section(given.params, "body", PosingParams),
    )
    inputs = Inputs(
        given.body, given.prior, [given.keypoints], [given.crops], [given.fits], [], mean=None, backbone=None
    )
    with tempfile.TemporaryDirectory() as folder:
        times = measure(prepare_run(inputs, sections, Path(folder)), given.steps)
    print(f"{sections.network}\nbatch {sections.train.batch_size}, {torch.get_num_threads()} threads")
    for name, values in sorted(times.items(), key=lambda item: -statistics.median(item[1])):
        print(f"{name:24s} {1000 * statistics.median(values):8.1f} ms")


if __name__ == "__main__":
    main()
