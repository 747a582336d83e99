"""Command `mirror_pw3d`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import FemaleBodyFile, MaleBodyFile, ParamsFile, PriorFile, TruthTable, Workers


def run(
    *,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    mixture: PriorFile,
    out: Annotated[Path, Option(help="Folder of the dataset, as 3DPW is unpacked.")],
    truth: TruthTable,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of 3DPW: videos of people with their true bodies.

    Draw the videos; write them as 3DPW does, and apart from them what made them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.pw3d import write_pw3d
    from spinloop.params.mirror import Pw3dParams

    job = load_job(params, "mirror_pw3d", Pw3dParams, (body_female, body_male), mixture, workers)
    with atomic(out) as root:
        save_truth(truth, write_pw3d(job, root))
