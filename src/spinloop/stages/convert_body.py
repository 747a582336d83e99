"""Command `convert_body`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN, Out


def run(
    file: Annotated[
        Path, MAIN, Option(help="`SMPL_NEUTRAL.pkl`, `basicModel_…_lbs_….pkl`, or an npz with the same keys.")
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

    The arrays are read without chumpy and without running the pickle, and are checked. Without SPIN's files
    the body can be fitted to keypoints; a line says what each absent file would enable.
    """
    from spinloop.body.files import GENDERS, save_body
    from spinloop.body.licensed import body_files
    from spinloop.body.smpl import convert_lone
    from spinloop.progress import say

    if gender is not None and gender not in GENDERS:
        raise UserError(f"--gender: expected one of {', '.join(GENDERS)}, got {gender!r}")
    folder = regressors or file.parent
    arrays, absent = convert_lone(file, gender, folder)
    if absent and regressors is not None:
        raise UserError(f"{regressors / absent[0]}: no such file; unpack SPIN's data.tar.gz there")
    save_body(out, arrays)
    enables = {licensed.name: licensed.enables for licensed in body_files()}
    for name in absent:
        say(f"{folder / name}: not there; it would give {enables[name]}")
