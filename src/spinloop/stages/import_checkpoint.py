"""Check SPIN's published checkpoint and convert it to a network file."""

from pathlib import Path

from spinloop.regression.weights import OFFICIAL, build_network, read_official, save_network

SECTIONS: dict[str, type] = {}


def run(*, checkpoint: Path, out: Path) -> None:
    """Read `model_checkpoint.pt` without running what is in it, compare all 331 entries, write our form.

    Args:
        checkpoint: SPIN's file, or any file with the same state dict under the key `model`.
        out: the network file to write.
    """
    state = read_official(checkpoint)
    save_network(out, build_network(OFFICIAL, state, checkpoint), OFFICIAL)
