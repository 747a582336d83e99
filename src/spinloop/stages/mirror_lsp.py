"""Render a mirror of Leeds Sports Pose: training images with OpenPose files, test images with masks."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.job import load_job, save_truth
from spinloop.mirror.lsp import write_lsp_test, write_lsp_train
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import LspParams

SECTIONS = {"mirror_lsp": LspParams, "body": PosingParams}


def run(
    *,
    body: Path,
    mixture: Path,
    out: Path,
    openpose: Path,
    truth: Path,
    test_out: Path,
    test_truth: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Draw the pictures; write them as LSP and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the training images, as LSP's original images are unpacked.
        openpose: folder of the detections; they lie in images in it.
        truth: table of the true bodies and cameras of the training images.
        test_out: folder of the test images, as LSP is unpacked, with upi-s1h in it.
        test_truth: table of the true bodies and cameras of the test images.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    job = load_job(params, "mirror_lsp", LspParams, (body,), mixture, workers)
    with atomic(out) as root, atomic(openpose) as detections:
        save_truth(truth, write_lsp_train(job, root, detections))
    with atomic(test_out) as root:
        save_truth(test_truth, write_lsp_test(job, root))
