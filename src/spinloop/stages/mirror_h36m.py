"""Render a mirror of Human3.6M: videos of four calibrated cameras, 3D and 2D poses, OpenPose's files."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.h36m import TEST, TEST_FRONTAL, TRAIN, write_h36m
from spinloop.mirror.job import load_job, save_truth
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import H36mParams

SECTIONS = {"mirror_h36m": H36mParams, "body": PosingParams}


def run(
    *,
    body: Path,
    mixture: Path,
    out: Path,
    openpose: Path,
    truth_train: Path,
    truth_p1: Path,
    truth_p2: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Film the actions; write them as Human3.6M does, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as Human3.6M is unpacked, MoSh's parameters in mosh/ in it.
        openpose: folder of the detections of training frames; they lie at the frames' paths in it.
        truth_train: table of the true bodies and cameras of the training subjects.
        truth_p1: the same of the test subjects.
        truth_p2: the same of the test subjects before the frontal camera.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    job = load_job(params, "mirror_h36m", H36mParams, (body,), mixture, workers)
    tables = {TRAIN: truth_train, TEST: truth_p1, TEST_FRONTAL: truth_p2}
    with atomic(out) as root, atomic(openpose) as detections:
        for split, rows in write_h36m(job, root, detections).items():
            save_truth(tables[split], rows)
