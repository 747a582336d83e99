"""Render a mirror of Leeds Sports Pose: training images with OpenPose files, test images with masks."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.lsp import TEST, TRAIN, write_test, write_train
from spinloop.mirror.lsp import save_lsp_joints as save_joints
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import LspParams
from spinloop.progress import progress

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
    section = load_section(params, "mirror_lsp", LspParams)
    studio = Studio((body,), mixture, load_section(params, "body", PosingParams).engine)
    with atomic(out) as images, atomic(openpose) as detections:
        pieces = progress(write_train(section, studio, images, detections, workers), "drawing to train")
        drawn = [one for piece in pieces for one in piece]
        save_joints(images, drawn, TRAIN)
        save_truth(truth, (one.truth for one in drawn))
    with atomic(test_out) as images:
        pieces = progress(write_test(section, studio, images, workers), "drawing to test")
        drawn = [one for piece in pieces for one in piece]
        save_joints(images, drawn, TEST)
        save_truth(test_truth, (one.truth for one in drawn))
