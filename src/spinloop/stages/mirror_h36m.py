"""Render a mirror of Human3.6M: videos of four calibrated cameras, 3D and 2D poses, OpenPose's files."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.h36m import TEST, TEST_FRONTAL, TRAIN, performances, write_h36m
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import H36mParams
from spinloop.progress import progress

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
    section = load_section(params, "mirror_h36m", H36mParams)
    studio = Studio((body,), mixture, load_section(params, "body", PosingParams).engine)
    tables = {TRAIN: truth_train, TEST: truth_p1, TEST_FRONTAL: truth_p2}
    with atomic(out) as root, atomic(openpose) as detections:
        for folder in (root, detections):
            folder.mkdir()
        n_performances = len(performances(section, studio, root, detections))
        filmed = write_h36m(section, studio, root, detections, workers)
        parts = list(progress(filmed, "filming", n_performances))
        for split, path in tables.items():
            save_truth(path, (row for part in parts for row in part.get(split, [])))
