"""Command `mirror_lsp`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, TruthOut, Workers


def run(
    *,
    body: BodyFile,
    mixture: PriorFile,
    out: Annotated[
        Out, Option(help="Folder of the training images, in the layout of LSP's original images.")
    ],
    openpose: Annotated[Out, Option(help="Folder of OpenPose's files, in `images`.")],
    truth: TruthOut,
    test_out: Annotated[Out, Option(help="Folder of the test images, in LSP's layout, with `upi-s1h`.")],
    test_truth: Annotated[Out, Option(help="True bodies and cameras of the test images (Parquet).")],
    workers: Workers = 1,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a mirror of LSP: training images with OpenPose files, test images with masks.

    Images and annotations are written as LSP has them, the true bodies and cameras apart from them.
    """
    from spinloop.files import atomic
    from spinloop.mirror.job import load_job, save_truth
    from spinloop.mirror.lsp import write_lsp_test, write_lsp_train
    from spinloop.params.mirror import LspParams

    job = load_job(params, "mirror_lsp", LspParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_lsp_train(job, root, detections))
    with atomic(test_out) as root:
        save_truth(test_truth, write_lsp_test(job, root))
