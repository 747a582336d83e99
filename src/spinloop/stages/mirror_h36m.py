"""Command `mirror_h36m`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, ParamsFile, PriorFile, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[
        Path,
        Option(help="Folder of the dataset, as Human3.6M is unpacked, MoSh's parameters in mosh/ in it."),
    ],
    openpose: Annotated[
        Path, Option(help="Folder of the detections of training frames; they lie at the frames' paths in it.")
    ],
    truth_train: Annotated[
        Path, Option(help="Table of the true bodies and cameras of the training subjects.")
    ],
    truth_p1: Annotated[Path, Option(help="The same of the test subjects.")],
    truth_p2: Annotated[Path, Option(help="The same of the test subjects before the frontal camera.")],
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of Human3.6M: videos of four calibrated cameras, 3D and 2D poses, OpenPose's files.

    Film the actions; write them as Human3.6M does, and apart from them what made them.
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
