"""Command `status`."""

from pathlib import Path
from typing import Annotated

from typer import Option


def run(
    *,
    root: Annotated[Path, Option(help="Folder of the project, with `dvc.yaml`.")] = Path(),
) -> None:
    """List the stages as fresh, stale or running, their sizes, and the last metrics.

    Nothing is changed.
    """
    from spinloop.pipeline.status import describe_project
    from spinloop.progress import table_console

    table_console().print(describe_project(root))
