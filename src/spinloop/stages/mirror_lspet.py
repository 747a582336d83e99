"""Command `mirror_lspet`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, TruthOut, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[Out, Option(help="Folder of the dataset, in the layout of LSP extended.")],
    openpose: Annotated[Out, Option(help="Folder of OpenPose's files.")],
    truth: TruthOut,
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of LSP extended: images of people with 14 joints, and OpenPose files.

    Images and annotations are written as LSP extended has them, the true bodies and cameras apart from
    them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.lsp import write_lspet
    from spinloop.params.mirror import LspetParams

    job = load_job(params, "mirror_lspet", LspetParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_lspet(job, root, detections))
