"""Render a mirror of MPII: photographs of people with 16 joints, and OpenPose files beside."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.job import load_job, save_truth
from spinloop.mirror.mpii import write_mpii
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import MpiiParams

SECTIONS = {"mirror_mpii": MpiiParams, "body": PosingParams}


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
    """Draw the pictures; write them as MPII and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as MPII is unpacked, with train.h5.
        openpose: folder of the detections; they lie in images in it.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    job = load_job(params, "mirror_mpii", MpiiParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_mpii(job, root, detections))
