"""Render a mirror of Leeds Sports Pose extended: people with 14 joints, and OpenPose files beside."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.job import load_job, save_truth
from spinloop.mirror.lsp import write_lspet
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import LspetParams

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
    job = load_job(params, "mirror_lspet", LspetParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_lspet(job, root, detections))
