"""Command `status`."""

from pathlib import Path
from typing import Annotated

from typer import Option


def run(*, root: Annotated[Path, Option(help="Folder of the project, with `dvc.yaml`.")] = Path()) -> None:
    """Say which stages are up to date, stale or running, what they made, and the last metrics."""
    from spinloop.pipeline.status import describe_project
    from spinloop.progress import table_console

    table_console().print(describe_project(root))
