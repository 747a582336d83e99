"""Command `list_code`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import Out


def run(
    *,
    source: Annotated[Path, Option(help="Folder of the package.")],
    out: Annotated[Out, Option(help="The digests (JSON: command → digest).")],
) -> None:
    """List a digest of the code of every command, by which DVC tells which stages an edit concerns.

    Comments, docstrings and the help of options do not count.
    """
    from spinloop.files import write_json
    from spinloop.pipeline.code import digests_of_commands

    write_json(out, digests_of_commands(source))
