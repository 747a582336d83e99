"""Command `mirror_coco`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, ParamsFile, PriorFile, TruthTable, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[Path, Option(help="Folder of the dataset, as COCO is unpacked.")],
    openpose: Annotated[
        Path, Option(help="Folder of the detections; they lie in a folder named like the subset in it.")
    ],
    truth: TruthTable,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of COCO: photographs of people with 2D joints, and OpenPose files beside.

    Draw the pictures; write them as COCO and OpenPose would, and apart from them what made them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.coco import write_coco
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.params.mirror import CocoParams

    job = load_job(params, "mirror_coco", CocoParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_coco(job, root, detections))
