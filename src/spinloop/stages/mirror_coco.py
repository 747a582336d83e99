"""Render a mirror of COCO: photographs of people with 2D joints, and OpenPose files beside."""

import math
from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.coco import save_annotations, write_coco
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import PIECE, Studio
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import CocoParams
from spinloop.progress import progress

SECTIONS = {"mirror_coco": CocoParams, "body": PosingParams}


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
    """Draw the pictures; write them as COCO and OpenPose would, and apart from them what made them.

    Args:
        body: the neutral body.
        mixture: the distribution of poses.
        out: folder of the dataset, as COCO is unpacked.
        openpose: folder of the detections; they lie in a folder named like the subset in it.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    section = load_section(params, "mirror_coco", CocoParams)
    engine = load_section(params, "body", PosingParams).engine
    studio = Studio((body,), mixture, engine)
    with atomic(out) as images, atomic(openpose) as detections:
        pieces = write_coco(section, studio, images, detections, workers)
        n_pieces = math.ceil(section.n_images / PIECE)
        drawn = [one for piece in progress(pieces, "drawing", n_pieces) for one in piece]
        save_annotations(images, drawn, section)
        save_truth(truth, (row for one in drawn for row in one.truth))
