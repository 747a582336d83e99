"""Command `import_checkpoint`."""

from pathlib import Path
from typing import Annotated

from typer import Option


def run(
    *,
    checkpoint: Annotated[
        Path, Option(help="SPIN's file, or any file with the same state dict under the key `model`.")
    ],
    out: Annotated[Path, Option(help="The network file to write.")],
) -> None:
    """Check SPIN's published checkpoint and convert it to a network file.

    Read `model_checkpoint.pt` without running what is in it, compare all 331 entries, write our form.
    """
    from spinloop.regression.weights import OFFICIAL, build_network, read_official, save_network

    state = read_official(checkpoint)
    save_network(out, build_network(OFFICIAL, state, checkpoint), OFFICIAL)
