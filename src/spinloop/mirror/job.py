"""The run of one mirror: parameters and inputs, work on several processes, the table of true bodies."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import torch

from spinloop.body.files import load_body
from spinloop.body.model import Engine
from spinloop.mirror.camera import Camera
from spinloop.mirror.people import BodySet, CameraPerson
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import Section, load_section
from spinloop.progress import progress
from spinloop.tables.records import GENDERS
from spinloop.tables.schema import Column, Layout
from spinloop.tables.table import load_table, save_table

P = TypeVar("P", bound=Section)
Task = TypeVar("Task")
Result = TypeVar("Result")

TRUTH = Layout(
    "truth@1",
    (
        Column("id", "string", "<split>/<image>#<person>, as the reader of the format names the person"),
        Column("pose", "float32", "axis-angle of the 24 joints, the root in camera axes", "rad", (72,)),
        Column("betas", "float32", "shape coefficients", "sd", (10,)),
        Column("gender", "string", "the body that they belong to", choices=GENDERS),
        Column("translation", "float64", "added to the model's points, camera axes", "m", (3,)),
        Column("camera", "float64", "focal length and principal point x, y of the image", "px", (3,)),
    ),
)


@dataclass(frozen=True)
class MirrorJob(Generic[P]):
    """What a mirror is rendered from; every process gets a copy."""

    params: P
    """The mirror's section."""
    bodies: tuple[Path, ...]
    """Body files, one for each gender."""
    mixture: Path
    """The distribution of poses."""
    engine: Engine
    """The code that poses the bodies."""
    workers: int
    """Number of processes; the result does not depend on it."""

    def read_inputs(self) -> tuple[BodySet, Mixture]:
        """The bodies and the distribution of poses, read once per process."""
        return _read(self.bodies, self.mixture, self.engine)


def load_job(
    params: Path, section: str, model: type[P], bodies: tuple[Path, ...], mixture: Path, workers: int
) -> MirrorJob[P]:
    """The job of one mirror.

    Args:
        params: the parameter file.
        section: name of the mirror's section.
        model: type of that section.
        bodies: body files, one for each gender.
        mixture: file of the distribution of poses.
        workers: number of processes.

    Raises:
        UserError: a parameter is missing or wrong.
    """
    engine = load_section(params, "body", PosingParams).engine
    return MirrorJob(load_section(params, section, model), bodies, mixture, engine, workers)


def run_tasks(
    job: MirrorJob[P],
    function: Callable[[MirrorJob[P], Task], Result],
    tasks: Sequence[Task],
    description: str = "rendering",
) -> Iterator[Result]:
    """Results of `function(job, task)`, in the order of the tasks.

    Args:
        job: the mirror.
        function: a module's function, so that it can be pickled, or a `partial` of one.
        tasks: what one process does at a time; they can be pickled.
        description: for the progress bar.
    """
    work = partial(function, job)
    if job.workers == 1:
        yield from progress(map(work, tasks), description, len(tasks))
        return
    context = multiprocessing.get_context("spawn")
    processes = min(job.workers, len(tasks))
    with context.Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from progress(pool.imap(work, tasks), description, len(tasks))


def truth_row(key: str, person: CameraPerson, camera: Camera) -> dict[str, Any]:
    """The row of one person.

    Args:
        key: `tables.records.make_id` of the person.
        person: as rendered.
        camera: the camera of the picture.
    """
    return {
        "id": key,
        "pose": person.pose,
        "betas": person.identity.betas,
        "gender": person.identity.gender,
        "translation": person.translation,
        "camera": np.array([camera.focal_px, *camera.center_px]),
    }


def save_truth(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the true bodies and cameras, which no reader and no training ever sees."""
    save_table(path, TRUTH, rows)


def load_truth(path: Path) -> pd.DataFrame:
    """Read and check the table; array columns hold arrays.

    Raises:
        UserError: the file is absent, damaged or of another layout.
    """
    return load_table(path, TRUTH, "make it with `spinloop mirror_<dataset>`")


@lru_cache(maxsize=1)
def _read(bodies: tuple[Path, ...], mixture: Path, engine: Engine) -> tuple[BodySet, Mixture]:
    return BodySet.of([load_body(path) for path in bodies], engine), load_mixture(mixture)
