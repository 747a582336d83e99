"""Command `convert_body`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from spinloop.errors import UserError


def run(
    file: Annotated[
        Path, Argument(help="SMPL_NEUTRAL.pkl, basicModel_…_lbs_….pkl, or an npz with the same keys.")
    ],
    *,
    out: Annotated[
        Path,
        Option(
            help="The body file to write (npz); keys as in the SMPL file, with SPIN's regressors and "
            "part labels."
        ),
    ],
    regressors: Annotated[
        Path | None,
        Option(
            help="Folder with SPIN's J_regressor_extra.npy, J_regressor_h36m.npy, vertex_texture.npy "
            "and cube_parts.npy; without it they are looked for beside the SMPL file."
        ),
    ] = None,
    gender: Annotated[
        str | None, Option(help="Neutral, female or male, if the file's name does not tell.")
    ] = None,
) -> None:
    """Turn a real SMPL file, pickled or not, into a body file of plain arrays.

    Read the arrays without chumpy and without running the pickle, check them, write them.
    """
    from spinloop.body.files import GENDERS, save_body
    from spinloop.body.smpl import convert_smpl

    if gender is not None and gender not in GENDERS:
        raise UserError(f"--gender: expected one of {', '.join(GENDERS)}, got {gender!r}")
    save_body(out, convert_smpl(file, gender, regressors or file.parent))
