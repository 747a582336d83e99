"""Command `import_checkpoint`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import MAIN, Out


def run(
    *,
    checkpoint: Annotated[
        Path,
        MAIN,
        Option(
            help="SPIN's `model_checkpoint.pt`, or any file with the same state dict under the key `model`."
        ),
    ],
    out: Annotated[Out, Option(help="Network file.")],
) -> None:
    """Check SPIN's published checkpoint and convert it to a network file.

    No code in the checkpoint is run. All 331 entries are compared with the network's.
    """
    from spinloop.regression.weights import OFFICIAL, build_network, read_official, save_network

    state = read_official(checkpoint)
    save_network(out, build_network(OFFICIAL, state, checkpoint), OFFICIAL)
