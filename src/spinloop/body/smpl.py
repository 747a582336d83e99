"""Real SMPL files: finding them, and turning one with SPIN's regressors into a body file.

What of the licence-bound files a user has, what is missing, and what each would enable.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from spinloop.body.files import GENDERS, N_VERTICES, BodyFile, check_body
from spinloop.body.regressors import load_array, load_part_labels, load_regressor
from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.joints import EXTRA9, H36M17
from spinloop.pickles import load_arrays

SMPL_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
REGRESSOR_EXTRA = "J_regressor_extra.npy"
REGRESSOR_H36M = "J_regressor_h36m.npy"
PART_TEXTURE = "vertex_texture.npy"
PART_CUBE = "cube_parts.npy"
SPIN_FILES = (REGRESSOR_EXTRA, REGRESSOR_H36M, PART_TEXTURE, PART_CUBE)
N_FACES = 13776

_CURE = "download it again from smpl.is.tue.mpg.de or smplify.is.tue.mpg.de"
_LETTERS = {
    "neutral": "neutral",
    "n": "neutral",
    "f": "female",
    "female": "female",
    "m": "male",
    "male": "male",
}
# SMPL_MALE.pkl as smplx wants it; basicmodel_m_lbs_10_207_0_v1.1.0.pkl, basicModel_f_lbs_… as published.
_NAME = re.compile(
    r"(?:smpl_(?P<long>neutral|female|male)|basicmodel_(?P<short>neutral|n|f|m)_lbs_.*)\.(?:pkl|npz)",
    re.IGNORECASE,
)


def gender_of(path: Path) -> str | None:
    """The gender that the name of an SMPL file tells, if it does."""
    match = _NAME.fullmatch(path.name)
    return _LETTERS[(match["long"] or match["short"]).lower()] if match else None


def find_smpl(folder: Path) -> dict[str, Path]:
    """SMPL files under a folder by gender; `SMPL_<GENDER>` before the published names, then by name.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of the SMPL files")
    found: dict[str, Path] = {}
    named = [(path, gender_of(path)) for path in sorted(folder.rglob("*")) if path.is_file()]
    for path, gender in sorted(named, key=lambda pair: not pair[0].name.lower().startswith("smpl_")):
        if gender is not None:
            found.setdefault(gender, path)
    return found


def read_smpl(path: Path) -> dict[str, Any]:
    """The arrays of an SMPL file by its own keys, dense and plain.

    Args:
        path: `.pkl` as published (chumpy arrays or plain ones) or `.npz`.

    Raises:
        UserError: the file is absent, damaged, names a class that is no array, or lacks a key.
    """
    arrays = read_npz(path, _CURE) if path.suffix == ".npz" else load_arrays(path)
    for key in SMPL_KEYS:
        if not isinstance(arrays.get(key), np.ndarray):
            raise UserError(f"{path}: {key}: missing or not an array; is this an SMPL file?")
    shape = arrays["v_template"].shape
    if shape != (N_VERTICES, 3):
        raise UserError(
            f"{path}: v_template: expected shape ({N_VERTICES}, 3), found {shape}; SMPL-H, SMPL-X and MANO "
            "files are other models"
        )
    return arrays


def convert(path: Path, gender: str | None, regressors: Path) -> BodyFile:
    """A body file from an SMPL file and the folder of SPIN's regressors.

    Args:
        path: the SMPL file.
        gender: one of `files.GENDERS`; None takes it from the file or its name.
        regressors: folder with `J_regressor_extra.npy`, `J_regressor_h36m.npy`, `vertex_texture.npy` and
            `cube_parts.npy`.

    Raises:
        UserError: a file is absent, damaged or of another shape or order than its name promises, or the
            gender is unknown or contradicts the file.
    """
    arrays = read_smpl(path)
    gender = _settle_gender(path, gender, arrays.get("gender"))
    template = np.asarray(arrays["v_template"], dtype=np.float64)
    if arrays["J_regressor"].shape != (24, N_VERTICES):
        found = arrays["J_regressor"].shape
        raise UserError(f"{path}: J_regressor: expected shape (24, {N_VERTICES}), found {found}; {_CURE}")
    joints = np.asarray(arrays["J_regressor"], dtype=np.float64) @ template
    added = {
        "J_regressor_extra": load_regressor(regressors / REGRESSOR_EXTRA, EXTRA9, template, joints),
        "J_regressor_h36m": load_regressor(regressors / REGRESSOR_H36M, H36M17, template, joints),
        "part_labels": load_part_labels(regressors / PART_TEXTURE, regressors / PART_CUBE, len(arrays["f"])),
        "gender": np.array(gender),
    }
    return check_body(path, {key: arrays[key] for key in SMPL_KEYS} | added)


def convert_folder(folder: Path, regressors: Path) -> dict[str, BodyFile]:
    """Body files of all genders from a folder of SMPL files.

    Raises:
        UserError: as `convert`; also if a gender has no file, or two genders have the same body.
    """
    found = find_smpl(folder)
    for gender in GENDERS:
        if gender not in found:
            raise UserError(f"{folder}: no {gender} SMPL file (SMPL_{gender.upper()}.pkl); {_CURE}")
    bodies = {gender: convert(found[gender], gender, regressors) for gender in GENDERS}
    for one, other in (("neutral", "female"), ("neutral", "male"), ("female", "male")):
        if np.array_equal(bodies[one].v_template, bodies[other].v_template):
            raise UserError(
                f"{found[other]}: the same body as {found[one]}; one of them has the wrong gender's name"
            )
    return bodies


def _settle_gender(path: Path, asked: str | None, stored: Any) -> str:
    told = {
        "asked for": asked,
        "the file says": None if stored is None else str(stored),
        "its name says": gender_of(path),
    }
    known = {source: gender for source, gender in told.items() if gender is not None}
    if not known:
        raise UserError(f"{path}: gender unknown; give --gender neutral, female or male")
    if len(set(known.values())) > 1:
        said = ", ".join(f"{source} {gender}" for source, gender in known.items())
        raise UserError(f"{path}: gender: {said}; name the file of the gender that is meant")
    gender = next(iter(known.values()))
    if gender not in GENDERS:
        raise UserError(f"{path}: gender: expected one of {', '.join(GENDERS)}, found {gender!r}")
    return gender


SPIN_ARCHIVE = "SPIN's data archive, visiondata.cis.upenn.edu/spin/data.tar.gz"


class Asset(NamedTuple):
    """A file that a user may have."""

    name: str
    find: Callable[[Path], Path | None]
    """The file under a folder."""
    check: Callable[[Path], Any]
    """Reads it; raises `UserError` if it is not what it should be."""
    enables: str
    obtained: str
    """Where it, and the licence to use it, is obtained."""


class Finding(NamedTuple):
    """What was found of an asset."""

    asset: Asset
    state: Literal["found", "missing", "faulty"]
    detail: str
    """The path, or what is wrong with the file."""


def smpl_asset(gender: str) -> Asset:
    """The SMPL file of one gender."""
    site = "smplify.is.tue.mpg.de" if gender == "neutral" else "smpl.is.tue.mpg.de"
    uses = {
        "neutral": "`body.source: smpl`: fits and training on SMPL instead of the free body",
        "female": "ground truth of women in 3DPW",
        "male": "ground truth of men in 3DPW",
    }
    return Asset(
        f"SMPL {gender}",
        lambda folder: find_smpl(folder).get(gender),
        _check_smpl,
        uses[gender],
        f"{site} (register, accept the licence)",
    )


def named_asset(
    name: str, enables: str, obtained: str = SPIN_ARCHIVE, check: Callable[[Path], Any] = load_array
) -> Asset:
    """A file that is known by its name alone."""
    return Asset(name, lambda folder: min(folder.rglob(name), default=None), check, enables, obtained)


def body_assets() -> list[Asset]:
    """The files of the body: SMPL's and those that SPIN adds to it."""
    uses = (
        "the nine joints that SPIN adds to SMPL: needed with SMPL for fits and training",
        "the 17 joints of Human3.6M: needed with SMPL for evaluation",
        "body parts of SMPL's faces: needed with SMPL for part segmentation on LSP",
        "body parts of SMPL's faces: needed with SMPL for part segmentation on LSP",
    )
    smpl = [smpl_asset(gender) for gender in ("neutral", "female", "male")]
    return smpl + [named_asset(name, use) for name, use in zip(SPIN_FILES, uses, strict=True)]


def examine(folder: Path, assets: Sequence[Asset]) -> list[Finding]:
    """Look for each asset under a folder and read what is there.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder in which your files lie")
    return [_examine(folder, asset) for asset in assets]


def _examine(folder: Path, asset: Asset) -> Finding:
    path = asset.find(folder)
    if path is None:
        return Finding(asset, "missing", f"get it from {asset.obtained}")
    try:
        asset.check(path)
    except UserError as error:
        return Finding(asset, "faulty", str(error))
    return Finding(asset, "found", str(path))


def _check_smpl(path: Path) -> None:
    stored = read_smpl(path).get("gender")
    told = gender_of(path)
    if stored is not None and told is not None and str(stored) != told:
        raise UserError(f"{path}: gender: the file says {stored}, its name says {told}")
