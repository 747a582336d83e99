"""Render a mirror of MPII: photographs of people with 16 joints, and OpenPose files beside."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.mpii import save_people, write_mpii
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import MpiiParams
from spinloop.progress import progress

SECTIONS = {"mirror_mpii": MpiiParams, "body": PosingParams}


def run(
    *,
    body: Path,
    mixture: Path,
    out: Path,
    openpose: Path,
    truth: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Draw the pictures; write them as MPII and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as MPII is unpacked, with train.h5.
        openpose: folder of the detections; they lie in images in it.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    section = load_section(params, "mirror_mpii", MpiiParams)
    studio = Studio((body,), mixture, load_section(params, "body", PosingParams).engine)
    with atomic(out) as images, atomic(openpose) as detections:
        pieces = write_mpii(section, studio, images, detections, workers)
        drawn = [one for piece in progress(pieces, "drawing") for one in piece]
        save_truth(truth, save_people(images, drawn, section))
