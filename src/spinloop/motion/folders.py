"""All recorded motion under a folder, whatever its format."""

from pathlib import Path

from spinloop.errors import UserError
from spinloop.files import read_npz
from spinloop.motion.amass import KEYS as AMASS_KEYS
from spinloop.motion.amass import is_amass, read_amass
from spinloop.motion.asf import read_amc, skeleton_of
from spinloop.motion.bundle import KEYS as BUNDLE_KEYS
from spinloop.motion.bundle import read_bundle
from spinloop.motion.bvh import read_bvh
from spinloop.motion.clips import Clip
from spinloop.motion.retarget import to_clip

FORMATS = ".bvh, .amc with its .asf, AMASS .npz, or the npz of SMPL poses"


def read_motion(place: Path) -> list[Clip]:
    """Every clip of a file, or of all files under a folder in the order of their names.

    Raises:
        UserError: there is no such file or folder, it holds no motion, or a file is damaged.
    """
    if not place.exists():
        raise UserError(f"{place}: no such file or folder; name that of the recordings in prior.motion")
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    clips = [clip for path in files if path.is_file() for clip in read_file(path)]
    if not clips:
        raise UserError(f"{place}: holds no recorded motion; give {FORMATS}")
    return clips


def read_file(path: Path) -> list[Clip]:
    """The clips of one file; none if it is not motion.

    Raises:
        UserError: the file is damaged.
    """
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind == "bvh":
        return [to_clip(read_bvh(path), _stem(path), str(path))]
    if kind == "amc":
        return [to_clip(read_amc(path, skeleton_of(path)), _stem(path), str(path))]
    return _read_npz(path) if kind == "npz" else []


def _read_npz(path: Path) -> list[Clip]:
    # Other arrays of the file are not touched; some published ones are pickles.
    arrays = read_npz(path, "restore the file", {*AMASS_KEYS, *BUNDLE_KEYS})
    if "clip_start" in arrays:
        return read_bundle(path, arrays)
    return [read_amass(path, arrays)] if is_amass(set(arrays)) else []


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]
