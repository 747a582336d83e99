"""Command `prepare_body`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import Out, ParamsFile


def run(
    *,
    out: Annotated[Out, Option(help="Folder of `neutral.npz`, `female.npz` and `male.npz`.")],
    report: Annotated[
        Out,
        Option(
            help="Measures of the population beside published ones, and the errors of the regressors "
            "(JSON); for SMPL only the source."
        ),
    ],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Build the free body (neutral, female, male) in SMPL's array shapes, or convert SMPL.

    The free body is made from adults sampled with Anny. With `body.source: smpl`, the files in
    `body.smpl_folder` are converted instead; DVC does not watch that folder.
    """
    import numpy as np

    from spinloop.body.files import save_body
    from spinloop.body.smpl import convert_folder
    from spinloop.files import write_json
    from spinloop.freebody.anny import load_anny
    from spinloop.freebody.build import Sizes, build_free_bodies
    from spinloop.freebody.report import figures
    from spinloop.params.fitting import BodyParams
    from spinloop.params.loader import load_section

    options = load_section(params, "body", BodyParams)
    if options.source == "smpl":
        assert options.smpl_folder is not None, "BodyParams checks it"
        folder = Path(options.smpl_folder)
        files, content = convert_folder(folder, folder), {"source": "smpl"}
    else:
        sizes = Sizes(options.n_bodies, options.n_rig_bodies, options.n_held_out)
        ages = (options.youngest_years, options.oldest_years)
        bodies = build_free_bodies(load_anny(), sizes, ages, np.random.default_rng(options.seed))
        files, content = bodies.files, figures(bodies)
    for gender, body in files.items():
        save_body(out / f"{gender}.npz", body)
    write_json(report, content)
