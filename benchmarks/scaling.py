"""How long the paper's pipeline takes on 1, 8 and 64 workers, what bounds it, and how much disk it fills.

The stages and their order are those of dvc.yaml with params/paper.yaml laid over params.yaml. Each stage's
time follows from its people and the rates below; stages start as Snakemake starts them, the one on which most
time depends first, as long as cores, memory and GPUs of all workers together suffice. Rates were measured on
one core (`benchmarks/rates.py`) unless `assumed` stands beside them.

    python benchmarks/scaling.py [--train-step-s 1.25] [--train-gpus 8] [--workers 1 8 64]
"""

import argparse
import heapq
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import networkx
from ruamel.yaml import YAML
from tabulate import tabulate

from spinloop.params.loader import load_yaml, overlay
from spinloop.pipeline.dag import StageRule, read_edges, read_pipeline

ROOT = Path(__file__).parents[1]
# What one worker has: the share of an eight-GPU machine that goes with one GPU.
WORKER = {"threads": 8, "mem_mb": 32_000, "gpu": 1}

# People of each split: as published, or counted by those who published fits (assumed: mpii, lspet, h36m).
PEOPLE = {
    "h36m_train": 312_188, "mpi_inf_3dhp_train": 96_507, "coco_train": 28_344, "mpii_train": 14_810,
    "lspet_train": 9_428, "lsp_train": 1_000, "h36m_p1": 109_800, "h36m_p2": 27_500,
    "mpi_inf_3dhp_test": 2_929, "lsp_test": 1_000, "pw3d_test": 35_515,
}  # fmt: skip
# Frames that are decoded for one that is used; of videos like the real ones, one in so many packed.
FRAMES = {"h36m_train": 5, "h36m_p1": 5, "h36m_p2": 5, "mpi_inf_3dhp_train": 10}
FRAMES_PER_S = {"h36m": 369.0, "mpi": 143.0}
ROWS_PER_S = {
    "h36m": 610.0, "mpi": 820.0, "lsp": 725.0, "lspet": 1300.0, "mpii": 1570.0, "coco": 2000.0,
    "pw3d": 1120.0,
}  # fmt: skip
FITS_PER_S = {"mean": 140.0, "lifted": 677.0, "adam": 55.7}
PER_S = {"merge": 1500.0, "pack_crops": 297.0, "evaluate": 6.2, "rows": 20_000.0}
TRAIN_STEP_S = 1.25
"""A step of 64 on one GPU (assumed): 0.25 s, and 50 + 50 iterations of Adam of 10 ms."""
FIXED_S = {
    "list_code": 3.0, "prepare_body": 60.0, "fit_prior": 5.0, "train_lifter": 1000.0, "draw_body": 30.0,
    "report": 300.0,
}  # fmt: skip
START_S = 8.0
"""From the scheduler's decision to the first person: Python, DVC, the libraries."""
BYTES = {"crop": 42_000, "test_crop": 232_000, "fit": 489, "row": 400}
SNAPSHOTS = 6


@dataclass(frozen=True)
class Job:
    """A stage as the scheduler sees it."""

    name: str
    seconds: float
    needs: Mapping[str, int]
    limit_s: float
    priority: int


@dataclass(frozen=True)
class Plan:
    """What came of scheduling."""

    seconds: float
    cores_busy: float
    """Share of all cores, over the whole time."""
    bound_by: list[str]
    """The chain of stages of which each started when the one before it ended, last first."""


def paper_pipeline() -> tuple[list[StageRule], set[tuple[str, str]], dict]:
    """Rules and edges of dvc.yaml with the paper's values, and these values."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
        shutil.copy(ROOT / "dvc.yaml", root)
        values = load_yaml(ROOT / "params.yaml")
        overlay(values, load_yaml(ROOT / "params/paper.yaml"), Path("params/paper.yaml"))
        with (root / "params.yaml").open("w") as stream:
            YAML().dump(values, stream)
        return read_pipeline(root), read_edges(root), values


def wanted(names: Iterable[str], edges: set[tuple[str, str]]) -> networkx.DiGraph:
    """What the paper's numbers need: the tests of the networks and all before them, without mirrors."""
    graph = networkx.DiGraph(edges)
    ends = [name for name in names if name.split("@")[0] in ("evaluate", "fit_predictions", "validate")]
    kept = set(ends).union(*(networkx.ancestors(graph, name) for name in ends))
    return graph.subgraph(name for name in kept if not name.startswith("mirror_"))


def seconds_of(name: str, values: Mapping, train_step_s: float) -> float:
    """Estimated time of one stage, its start included; `rows` a second is assumed for what has no rate."""
    stage, _, item = name.partition("@")
    split = next((key for key in sorted(PEOPLE, key=len, reverse=True) if key in item), "")
    people, reader = PEOPLE.get(split, 0), split.split("_")[0]
    if stage in FIXED_S:
        work = FIXED_S[stage]
    elif stage == "preprocess":
        work = people / ROWS_PER_S[reader]
    elif stage == "pack_crops" and split in FRAMES:
        work = people * FRAMES[split] / FRAMES_PER_S[reader]
    elif stage == "fit_initial":
        work = people / len(values["fit_initial"]["shards"]) / _fits_per_s(item.split("-")[1], values)
    elif stage == "train":
        work = values["train"]["n_steps"] * train_step_s
    elif stage == "fit_predictions":
        starts = [_fits_per_s(start, values) for start in ("mean", "lifted")]
        starts += [FITS_PER_S["adam"]] * len(values["settings"])
        work = sum(people / rate for rate in starts)
    else:
        work = people / PER_S.get(stage, PER_S["rows"])
    return START_S + work


def _fits_per_s(start: str, values: Mapping) -> float:
    """Offline fits a second; from the mean pose they are made by `lm`, whatever `fitting.solver` says."""
    is_adam = start == "lifted" and values["fitting"]["solver"] == "adam"
    return FITS_PER_S["adam" if is_adam else start]


def list_schedule(jobs: Mapping[str, Job], graph: networkx.DiGraph, capacity: Mapping[str, int]) -> Plan:
    """Start whatever fits, most urgent first, at every end of a job.

    Raises:
        ValueError: a job asks for more than there is.
    """
    for job in jobs.values():
        if any(job.needs.get(key, 0) > capacity[key] for key in capacity):
            raise ValueError(f"{job.name} needs {dict(job.needs)}, there is {dict(capacity)}")
    free, waiting = dict(capacity), {name: graph.in_degree(name) for name in graph}
    ready = [name for name, count in waiting.items() if count == 0]
    running: list[tuple[float, str]] = []
    released_by: dict[str, str] = {}
    now, busy, last = 0.0, 0.0, ""
    while ready or running:
        for name in sorted(ready, key=lambda name: (-jobs[name].priority, name)):
            needs = {key: jobs[name].needs.get(key, 0) for key in free}
            if all(needs[key] <= free[key] for key in free):
                ready.remove(name)
                free = {key: free[key] - needs[key] for key in free}
                released_by[name] = last
                heapq.heappush(running, (now + jobs[name].seconds, name))
                busy += jobs[name].seconds * jobs[name].needs["threads"]
        now, last = heapq.heappop(running)
        free = {key: free[key] + jobs[last].needs.get(key, 0) for key in free}
        for follower in graph.successors(last):
            waiting[follower] -= 1
            if waiting[follower] == 0:
                ready.append(follower)
    chain = [last]
    while released_by.get(chain[-1]):
        chain.append(released_by[chain[-1]])
    return Plan(now, busy / (now * capacity["threads"]), chain)


def paper_jobs(train_step_s: float, train_gpus: int = 1) -> tuple[dict[str, Job], networkx.DiGraph, dict]:
    """The jobs of the paper's pipeline, their graph, and the values."""
    rules, edges, values = paper_pipeline()
    graph = wanted([rule.name for rule in rules], edges)
    together = {key: train_gpus * size for key, size in WORKER.items()}
    jobs = {
        rule.name: Job(
            rule.name,
            seconds_of(rule.name, values, train_step_s),
            together
            if train_gpus > 1 and rule.name.startswith("train@")
            else {"threads": rule.threads, "gpu": 0, **rule.resources},
            60 * rule.resources["runtime"],
            rule.priority,
        )
        for rule in rules
        if rule.name in graph
    }
    return jobs, graph, values


def disk_gb(values: Mapping) -> list[tuple[str, float]]:
    """What the pipeline writes, GB; DVC's cache holds it once more where the disk has no reflinks."""
    everybody, trained = sum(PEOPLE.values()), sum(n for key, n in PEOPLE.items() if key.endswith("train"))
    copies = SNAPSHOTS + 1
    return [
        ("packed crops to train on (JPEG)", trained * BYTES["crop"] / 1e9),
        ("packed crops to test on (PNG)", (everybody - trained) * BYTES["test_crop"] / 1e9),
        ("tables and keypoints", 2 * everybody * BYTES["row"] / 1e9),
        ("initial fits, parts and joined", 3 * trained * BYTES["fit"] / 1e9),
        ("fits of training, snapshots", len(values["settings"]) * copies * trained * BYTES["fit"] / 1e9),
    ]


def main() -> None:
    """Print the tables of docs/scaling.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train-step-s", type=float, default=TRAIN_STEP_S)
    parser.add_argument("--train-gpus", type=int, default=1, help="of each training, with torchrun")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    options = parser.parse_args()
    jobs, graph, values = paper_jobs(options.train_step_s, options.train_gpus)

    work: dict[str, list[Job]] = {}
    for job in jobs.values():
        work.setdefault(job.name.split("@")[0], []).append(job)
    rows = [
        (stage, len(them), sum(job.seconds * job.needs["threads"] for job in them) / 3600,
         max(job.seconds for job in them) / 3600, max(job.limit_s for job in them) / 3600)
        for stage, them in work.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: -row[2])
    head = ["stage", "jobs", "core hours", "longest job, h", "its limit, h"]
    print(tabulate(rows, head, tablefmt="github", floatfmt=".2f"), end="\n\n")

    plans = [
        (n, list_schedule(jobs, graph, {key: n * size for key, size in WORKER.items()}))
        for n in options.workers
    ]
    table = [
        (n, plan.seconds / 3600, f"{plan.cores_busy:.0%}", " ← ".join(plan.bound_by)) for n, plan in plans
    ]
    print(tabulate(table, ["workers", "hours", "cores busy", "bound by"], tablefmt="github", floatfmt=".1f"))
    print()
    print(tabulate(disk_gb(values), ["disk", "GB"], tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
