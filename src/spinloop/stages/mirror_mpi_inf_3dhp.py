"""Render a mirror of MPI-INF-3DHP: training videos with OpenPose's files, and six test sequences."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.mpi_inf_3dhp import write_test, write_train
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import MpiInf3dhpParams
from spinloop.progress import progress

SECTIONS = {"mirror_mpi_inf_3dhp": MpiInf3dhpParams, "body": PosingParams}


def run(
    *,
    body: Path,
    mixture: Path,
    out: Path,
    openpose: Path,
    truth_train: Path,
    truth_test: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Film the sequences; write them as MPI-INF-3DHP does, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, with SPIN's multi-view fits of its training set.
        openpose: folder of the detections of training frames; they lie at the frames' paths in it.
        truth_train: table of the true bodies and cameras of the training frames that are used.
        truth_test: the same of the test frames.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    section = load_section(params, "mirror_mpi_inf_3dhp", MpiInf3dhpParams)
    studio = Studio((body,), mixture, load_section(params, "body", PosingParams).engine)
    with atomic(out) as root, atomic(openpose) as detections:
        for folder in (root, detections):
            folder.mkdir()
        filmed = write_train(section, studio, root, detections, workers)
        train = progress(filmed, "filming for training")
        save_truth(truth_train, [row for rows in train for row in rows])
        test = progress(write_test(section, studio, root, workers), "filming for the test")
        save_truth(truth_test, [row for rows in test for row in rows])
