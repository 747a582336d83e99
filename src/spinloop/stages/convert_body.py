"""Command `convert_body`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from spinloop.errors import UserError
from spinloop.options import Out


def run(
    file: Annotated[
        Path, Argument(help="`SMPL_NEUTRAL.pkl`, `basicModel_…_lbs_….pkl`, or an npz with the same keys.")
    ],
    *,
    out: Annotated[
        Out,
        Option(help="Body file (npz): the arrays of the SMPL file, SPIN's regressors and part labels."),
    ],
    regressors: Annotated[
        Path | None,
        Option(
            help="Folder of SPIN's `J_regressor_extra.npy`, `J_regressor_h36m.npy`, "
            "`vertex_texture.npy` and `cube_parts.npy`. Default: the folder of the SMPL file."
        ),
    ] = None,
    gender: Annotated[
        str | None, Option(help="`neutral`, `female` or `male`. Default: as the file's name says.")
    ] = None,
) -> None:
    """Convert an SMPL file, pickled or not, to a body file of plain arrays.

    The arrays are read without chumpy and without running the pickle, and are checked.
    """
    from spinloop.body.files import GENDERS, save_body
    from spinloop.body.smpl import convert_smpl

    if gender is not None and gender not in GENDERS:
        raise UserError(f"--gender: expected one of {', '.join(GENDERS)}, got {gender!r}")
    save_body(out, convert_smpl(file, gender, regressors or file.parent))
