"""Render a mirror of 3DPW: videos of people with their true bodies."""

from pathlib import Path

from spinloop.files import atomic
from spinloop.mirror.job import load_job, save_truth
from spinloop.mirror.pw3d import write_pw3d
from spinloop.params.fitting import PosingParams
from spinloop.params.mirror import Pw3dParams

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
    job = load_job(params, "mirror_pw3d", Pw3dParams, (body_female, body_male), mixture, workers)
    with atomic(out) as root:
        save_truth(truth, write_pw3d(job, root))
