"""Licence-bound files: which ones a user has, what is missing, and what each of them enables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spinloop.body.files import GENDERS
from spinloop.body.regressors import load_array
from spinloop.body.smpl import SPIN_FILES, find_smpl, gender_of, read_smpl
from spinloop.errors import UserError

SPIN_ARCHIVE = "SPIN's data archive, visiondata.cis.upenn.edu/spin/data.tar.gz"


class LicensedFile(NamedTuple):
    """A file that a user may have."""

    name: str
    find: Callable[[Path], Path | None]
    """Its path under a folder, if it is there."""
    check: Callable[[Path], Any]
    """Reads it; raises `UserError` if it is faulty."""
    enables: str
    obtained: str
    """Where to get it and the licence to use it."""


class Finding(NamedTuple):
    """The state of a licensed file in a folder."""

    file: LicensedFile
    state: Literal["found", "missing", "faulty"]
    detail: str
    """The path, where to get it, or what is wrong with it."""


def _smpl_file(gender: str) -> LicensedFile:
    site = "smplify.is.tue.mpg.de" if gender == "neutral" else "smpl.is.tue.mpg.de"
    uses = {
        "neutral": "`body.source: smpl`: fits and training on SMPL instead of the free body",
        "female": "ground truth of women in 3DPW",
        "male": "ground truth of men in 3DPW",
    }
    return LicensedFile(
        f"SMPL {gender}",
        lambda folder: find_smpl(folder).get(gender),
        _check_smpl,
        uses[gender],
        f"{site} (register, accept the licence)",
    )


def file_by_name(
    name: str, enables: str, obtained: str = SPIN_ARCHIVE, check: Callable[[Path], Any] = load_array
) -> LicensedFile:
    """A file that is found by its name, in any subfolder."""
    return LicensedFile(name, lambda folder: min(folder.rglob(name), default=None), check, enables, obtained)


def body_files() -> list[LicensedFile]:
    """SMPL's files, and those that SPIN adds to them."""
    uses = (
        "the nine joints that SPIN adds to SMPL: needed with SMPL for fits and training",
        "the 17 joints of Human3.6M: needed with SMPL for evaluation",
        "body parts of SMPL's faces: needed with SMPL for part segmentation on LSP",
        "body parts of SMPL's faces: needed with SMPL for part segmentation on LSP",
    )
    smpl = [_smpl_file(gender) for gender in GENDERS]
    return smpl + [file_by_name(name, use) for name, use in zip(SPIN_FILES, uses, strict=True)]


def find_licensed(folder: Path, files: Sequence[LicensedFile]) -> list[Finding]:
    """Look for each file under a folder, and check those that are there.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of your files")
    return [_find(folder, file) for file in files]


def _find(folder: Path, file: LicensedFile) -> Finding:
    path = file.find(folder)
    if path is None:
        return Finding(file, "missing", f"get it from {file.obtained}")
    try:
        file.check(path)
    except UserError as error:
        return Finding(file, "faulty", str(error))
    return Finding(file, "found", str(path))


def _check_smpl(path: Path) -> None:
    stored = read_smpl(path).get("gender")
    named = gender_of(path)
    if stored is not None and named is not None and str(stored) != named:
        raise UserError(f"{path}: gender: {stored} in the file, {named} in its name; rename the file")
