"""Render a mirror of Leeds Sports Pose extended: people with 14 joints, and OpenPose files beside."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.lsp import save_lspet_joints as save_joints
from spinloop.mirror.lsp import write_lspet
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import LspetParams
from spinloop.progress import progress

SECTIONS = {"mirror_lspet": LspetParams, "body": PosingParams}


def run(
    *,
    body: Path,
    mixture: Path,
    out: Path,
    openpose: Path,
    truth: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Draw the pictures; write them as LSPET and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as LSPET is unpacked.
        openpose: folder of the detections.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    section = load_section(params, "mirror_lspet", LspetParams)
    studio = Studio((body,), mixture, load_section(params, "body", PosingParams).engine)
    with atomic(out) as images, atomic(openpose) as detections:
        pieces = write_lspet(section, studio, images, detections, workers)
        drawn = [one for piece in progress(pieces, "drawing") for one in piece]
        save_joints(images, drawn)
        save_truth(truth, (one.truth for one in drawn))
