"""Draw a body: rest pose with joints, parts, shape coefficients and poses."""

from pathlib import Path

import numpy as np

from spinloop.body.files import load_body
from spinloop.files import atomic
from spinloop.motion.mixture import load_mixture
from spinloop.params.body import BodyParams
from spinloop.params.loader import load_section
from spinloop.reporting.body_pictures import page, parts_sheet, poses_sheet, rest_sheet, shapes_sheet
from spinloop.reporting.people import data_uri

SECTIONS = {"body": BodyParams}
_HEIGHT_PX = 360
_N_POSES = 10


def run(*, body: Path, prior: Path, out: Path, params: Path = Path("params.yaml")) -> None:
    """Write one page with all pictures in it.

    Args:
        body: the body file.
        prior: mixture of poses from which ten are drawn.
        out: the page (HTML).
        params: parameter file; section `body`.
    """
    options = load_section(params, "body", BodyParams)
    drawn = load_body(body)
    poses = load_mixture(prior).sample(_N_POSES, np.random.default_rng(options.seed))
    sheets = {
        "Rest pose; left SMPL's 24 joints, right the 24 annotated joints": rest_sheet(drawn, _HEIGHT_PX),
        "The six parts": parts_sheet(drawn, _HEIGHT_PX),
        "Each shape coefficient at −2, 0 and +2": shapes_sheet(drawn, _HEIGHT_PX // 2),
        "Ten poses of the prior": poses_sheet(drawn, poses, _HEIGHT_PX, per_row=5),
    }
    pictures = [(caption, data_uri(image)) for caption, image in sheets.items()]
    with atomic(out) as temporary:
        temporary.write_text(page(f"The {drawn.gender} body", pictures), encoding="utf-8")
