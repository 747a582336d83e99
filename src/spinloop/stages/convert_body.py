"""Turn a real SMPL file, pickled or not, into a body file of plain arrays."""

from pathlib import Path

from spinloop.body.files import GENDERS, save_body
from spinloop.body.smpl import convert
from spinloop.errors import UserError

SECTIONS: dict[str, type] = {}


def run(file: Path, *, out: Path, regressors: Path | None = None, gender: str | None = None) -> None:
    """Read the arrays without chumpy and without running the pickle, check them, write them.

    Args:
        file: SMPL_NEUTRAL.pkl, basicModel_…_lbs_….pkl, or an npz with the same keys.
        out: the body file to write (npz); keys as in the SMPL file, with SPIN's regressors and part labels.
        regressors: folder with SPIN's J_regressor_extra.npy, J_regressor_h36m.npy, vertex_texture.npy and
            cube_parts.npy; without it they are looked for beside the SMPL file.
        gender: neutral, female or male, if the file's name does not tell.
    """
    if gender is not None and gender not in GENDERS:
        raise UserError(f"--gender: expected one of {', '.join(GENDERS)}, got {gender!r}")
    save_body(out, convert(file, gender, regressors or file.parent))
