"""Command `mirror_mpi_inf_3dhp`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, ParamsFile, PriorFile, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[
        Path, Option(help="Folder of the dataset, with SPIN's multi-view fits of its training set.")
    ],
    openpose: Annotated[
        Path, Option(help="Folder of the detections of training frames; they lie at the frames' paths in it.")
    ],
    truth_train: Annotated[
        Path, Option(help="Table of the true bodies and cameras of the training frames that are used.")
    ],
    truth_test: Annotated[Path, Option(help="The same of the test frames.")],
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of MPI-INF-3DHP: training videos with OpenPose's files, and six test sequences.

    Film the sequences; write them as MPI-INF-3DHP does, and apart from them what made them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.mpi_inf_3dhp import write_mpi_test, write_mpi_train
    from spinloop.params.mirror import MpiInf3dhpParams

    job = load_job(params, "mirror_mpi_inf_3dhp", MpiInf3dhpParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth_train, write_mpi_train(job, root, detections))
        save_truth(truth_test, write_mpi_test(job, root))
