"""Command `experiment`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from spinloop.options import Out


def run(
    plan: Annotated[Path, Argument(help="The experiment (YAML; see `docs/training.md`).")],
    *,
    out: Annotated[
        Out, Option(help="Folder for `results.json`, `table.md` and the state of unfinished trainings.")
    ],
    data: Annotated[Path, Option(help="The data of a pipeline that has run.")] = Path("data"),
    params: Annotated[Path, Option(help="The values that the plan changes.")] = Path("params.yaml"),
) -> None:
    """Train variants with several seeds and compare them: results, table and lineage in one folder.

    Trainings that are in the results already are not repeated; after a stop, the same command resumes.
    """
    from spinloop.pipeline.experiments import run_experiment

    run_experiment(plan, out, data, params)
