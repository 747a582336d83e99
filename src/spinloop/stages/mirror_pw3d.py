"""Command `mirror_pw3d`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import FemaleBodyFile, MaleBodyFile, Out, ParamsFile, PriorFile, TruthOut, Workers


def run(
    *,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    mixture: PriorFile,
    out: Annotated[Out, Option(help="Folder of the dataset, in 3DPW's layout.")],
    truth: TruthOut,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of 3DPW: videos of people with their true bodies.

    Images and annotations are written as 3DPW has them, the true bodies and cameras apart from them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.pw3d import write_pw3d
    from spinloop.params.mirror import Pw3dParams

    job = load_job(params, "mirror_pw3d", Pw3dParams, (body_female, body_male), mixture, workers)
    with atomic(out) as root:
        save_truth(truth, write_pw3d(job, root))
