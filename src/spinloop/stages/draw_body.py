"""Command `draw_body`."""

from importlib import resources
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile

_HEIGHT_PX = 360
_N_POSES = 10
_PER_ROW = 5


def run(
    *,
    body: BodyFile,
    prior: PriorFile,
    out: Annotated[Out, Option(help="Page with all pictures (HTML).")],
    pictures: Annotated[Out, Option(help="Folder of the pictures (PNG).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Render a body: rest pose, joints, parts, shape coefficients, landmarks, bent joints, poses.

    Each picture is written, and one page with all of them.
    """
    import numpy as np

    from spinloop.body.files import load_body
    from spinloop.body.model import make_body_model
    from spinloop.files import atomic
    from spinloop.motion.mixture import load_mixture
    from spinloop.motion.readers import read_motion
    from spinloop.params.fitting import BodyParams
    from spinloop.params.loader import load_section
    from spinloop.reporting.body_pictures import (
        bends_sheet,
        landmarks_sheet,
        parts_sheet,
        poses_sheet,
        rest_sheet,
        shapes_sheet,
    )
    from spinloop.reporting.gallery import data_uri, picture_page
    from spinloop.tables.images import encode_png

    options = load_section(params, "body", BodyParams)
    file = load_body(body)
    model = make_body_model(file, options.engine)
    samples = load_mixture(prior).sample(_N_POSES, np.random.default_rng(options.seed))
    with resources.as_file(resources.files("spinloop") / "assets" / "cmu_poses.npz") as shipped:
        recorded = read_motion(shipped)
    poses, names = np.stack([clip.poses[0, 3:] for clip in recorded]), [clip.name for clip in recorded]
    sheets = {
        "rest": ("Rest pose; above SMPL's 24 joints, below the annotated", rest_sheet(model, 2 * _HEIGHT_PX)),
        "landmarks": ("The vertices that users of SMPL know by number", landmarks_sheet(model, _HEIGHT_PX)),
        "parts": ("The six parts", parts_sheet(file, _HEIGHT_PX)),
        "shapes": ("Each shape coefficient at −2, 0 and +2", shapes_sheet(model, 2 * _HEIGHT_PX // 3)),
        "bends": ("Joints bent far, in degrees", bends_sheet(model, 2 * _HEIGHT_PX // 3, _PER_ROW)),
        "poses": ("Ten recorded poses", poses_sheet(model, poses, _HEIGHT_PX, _PER_ROW, names)),
        "samples": ("Ten poses sampled from the prior", poses_sheet(model, samples, _HEIGHT_PX, _PER_ROW)),
    }
    with atomic(pictures) as folder:
        folder.mkdir()
        for name, (_, image) in sheets.items():
            (folder / f"{name}.png").write_bytes(encode_png(image))
    uris = [(caption, data_uri(image)) for caption, image in sheets.values()]
    with atomic(out) as temporary:
        temporary.write_text(picture_page(f"The {file.gender} body", uris), encoding="utf-8")
