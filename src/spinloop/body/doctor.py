"""What of the licence-bound files a user has, what is missing, and what each would enable."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spinloop.body.regressors import load_array
from spinloop.body.smpl import SPIN_FILES, find_smpl, gender_of, read_smpl
from spinloop.errors import UserError

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
