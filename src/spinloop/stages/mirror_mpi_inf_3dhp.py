"""Command `mirror_mpi_inf_3dhp`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[
        Out,
        Option(
            help="Folder of the dataset, in MPI-INF-3DHP's layout, with SPIN's multi-view fits of its "
            "training set."
        ),
    ],
    openpose: Annotated[
        Out, Option(help="Folder of OpenPose's files of the training frames, at the frames' paths.")
    ],
    truth_train: Annotated[
        Out, Option(help="True bodies and cameras of the training frames that are used (Parquet).")
    ],
    truth_test: Annotated[Out, Option(help="True bodies and cameras of the test frames (Parquet).")],
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of MPI-INF-3DHP: training videos with OpenPose files, six test sequences.

    Images and annotations are written as MPI-INF-3DHP has them, the true bodies and cameras apart from
    them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.mpi_inf_3dhp import write_mpi_test, write_mpi_train
    from spinloop.params.mirror import MpiInf3dhpParams

    job = load_job(params, "mirror_mpi_inf_3dhp", MpiInf3dhpParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth_train, write_mpi_train(job, root, detections))
        save_truth(truth_test, write_mpi_test(job, root))
