"""Command `mirror_coco`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, TruthOut, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[Out, Option(help="Folder of the dataset, in COCO's layout.")],
    openpose: Annotated[
        Out, Option(help="Folder of OpenPose's files, in a subfolder named like the subset.")
    ],
    truth: TruthOut,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of COCO: photographs of people with 2D joints, and OpenPose files.

    Images and annotations are written as COCO has them, the true bodies and cameras apart from them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.coco import write_coco
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.params.mirror import CocoParams

    job = load_job(params, "mirror_coco", CocoParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_coco(job, root, detections))
