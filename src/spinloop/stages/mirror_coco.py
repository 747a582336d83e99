"""Render a mirror of COCO: photographs of people with 2D joints, and OpenPose files beside."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.coco import write_coco
from spinloop.mirror.job import load_job, save_truth
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import CocoParams

SECTIONS = {"mirror_coco": CocoParams, "body": PosingParams}


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
    """Draw the pictures; write them as COCO and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as COCO is unpacked.
        openpose: folder of the detections; they lie in a folder named like the subset in it.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    job = load_job(params, "mirror_coco", CocoParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_coco(job, root, detections))
