"""Render a mirror of 3DPW: videos of people with their true bodies."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.people import save_truth
from spinloop.mirror.photographs import Studio
from spinloop.mirror.pw3d import write_pw3d
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.params.mirror import Pw3dParams
from spinloop.progress import progress

SECTIONS = {"mirror_pw3d": Pw3dParams, "body": PosingParams}


def run(
    *,
    body_female: Path,
    body_male: Path,
    mixture: Path,
    out: Path,
    truth: Path,
    workers: int = 1,
    params: Path = Path("params.yaml"),
) -> None:
    """Draw the videos; write them as 3DPW does, and apart from them what made them.

    Args:
        body_female: the body of women.
        body_male: the body of men.
        mixture: the distribution of poses.
        out: folder of the dataset, as 3DPW is unpacked.
        truth: table of the true bodies and cameras.
        workers: processes; the result does not depend on them.
        params: the parameter file.
    """
    section = load_section(params, "mirror_pw3d", Pw3dParams)
    engine = load_section(params, "body", PosingParams).engine
    studio = Studio((body_female, body_male), mixture, engine)
    with atomic(out) as root:
        videos = write_pw3d(section, studio, root, workers)
        rows = [row for video in progress(videos, "drawing", section.n_sequences) for row in video]
        save_truth(truth, rows)
