"""Command `mirror_mpii`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, TruthOut, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[Out, Option(help="Folder of the dataset, in MPII's layout, with `train.h5`.")],
    openpose: Annotated[Out, Option(help="Folder of OpenPose's files, in `images`.")],
    truth: TruthOut,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of MPII: photographs of people with 16 joints, and OpenPose files.

    Images and annotations are written as MPII has them, the true bodies and cameras apart from them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.mpii import write_mpii
    from spinloop.params.mirror import MpiiParams

    job = load_job(params, "mirror_mpii", MpiiParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_mpii(job, root, detections))
