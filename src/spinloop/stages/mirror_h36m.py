"""Command `mirror_h36m`."""

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
        Option(help="Folder of the dataset, in Human3.6M's layout, with MoSh's parameters in `mosh`."),
    ],
    openpose: Annotated[
        Out, Option(help="Folder of OpenPose's files of the training frames, at the frames' paths.")
    ],
    truth_train: Annotated[Out, Option(help="True bodies and cameras of the training subjects (Parquet).")],
    truth_p1: Annotated[Out, Option(help="True bodies and cameras of the test subjects (Parquet).")],
    truth_p2: Annotated[Out, Option(help="True bodies and frontal camera of the test subjects (Parquet).")],
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of Human3.6M: videos of four calibrated cameras, poses, OpenPose files.

    Images and annotations are written as Human3.6M has them, the true bodies and cameras apart from them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.h36m import TEST, TEST_FRONTAL, TRAIN, write_h36m
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.params.mirror import H36mParams

    job = load_job(params, "mirror_h36m", H36mParams, (body,), mixture, workers)
    tables = {TRAIN: truth_train, TEST: truth_p1, TEST_FRONTAL: truth_p2}
    with atomic(out) as root, atomic(openpose) as detections:
        for split, rows in write_h36m(job, root, detections).items():
            save_truth(tables[split], rows)
