"""Render a mirror of MPI-INF-3DHP: training videos with OpenPose's files, and six test sequences."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.job import load_job, save_truth
from spinloop.mirror.mpi_inf_3dhp import write_mpi_test, write_mpi_train
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import MpiInf3dhpParams

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
    job = load_job(params, "mirror_mpi_inf_3dhp", MpiInf3dhpParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth_train, write_mpi_train(job, root, detections))
        save_truth(truth_test, write_mpi_test(job, root))
