"""Recorded motion in any format as SMPL poses: files of AMASS, bundles of clips in one npz, BVH, ASF/AMC."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.files import read_npz, reading
from spinloop.motion.clips import Clip
from spinloop.motion.recordings import read_amc, read_bvh, skeleton_of
from spinloop.motion.retarget import to_clip
from spinloop.progress import say

# Root and 21 body joints, then fingers (SMPL-H) or face and fingers (SMPL-X); SMPL alone ends with two hands.
_N_BODY = 66
_WIDTHS = (72, 156, 165)
_RATES = ("mocap_framerate", "mocap_frame_rate")
AMASS_KEYS = ("poses", *_RATES)


def is_amass(keys: set[str]) -> bool:
    """Whether an npz with these keys is an AMASS recording."""
    return "poses" in keys and any(rate in keys for rate in _RATES)


def read_amass(path: Path, arrays: dict[str, np.ndarray]) -> Clip:
    """The body's poses of an AMASS file, rotated from z up to y up; hands are zero unless the file is SMPL's.

    Args:
        path: the file, for the name of the clip and the messages.
        arrays: its content.

    Raises:
        UserError: the poses have the wrong width or are not finite.
    """
    poses = arrays["poses"]
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or not len(poses):
        raise UserError(
            f"{path}: poses: expected (F, 72), (F, 156) or (F, 165), found {poses.shape}; restore it"
        )
    if not np.isfinite(poses).all():
        raise UserError(f"{path}: poses: not all entries are finite numbers; restore the file")
    rate = next(float(arrays[key]) for key in _RATES if key in arrays)
    full = np.zeros((len(poses), 72))
    kept = 72 if poses.shape[1] == 72 else _N_BODY
    full[:, :kept] = poses[:, :kept]
    upright = Rotation.from_euler("x", -90, degrees=True) * Rotation.from_rotvec(full[:, :3])
    full[:, :3] = upright.as_rotvec()
    return Clip(path.stem, rate, full)


_NEEDED = ("poses", "clip_name", "clip_start", "clip_len", "fps")
BUNDLE_KEYS = (*_NEEDED, "ok")


def read_bundle(path: Path, arrays: dict[str, np.ndarray]) -> list[Clip]:
    """The clips of a bundle.

    Args:
        path: the file, for the messages.
        arrays: `poses` (F, 72) of all clips, one after the other; for each clip `clip_name`, `clip_start`,
            `clip_len` (frames) and `fps`; optionally `ok` (F,), false for rows to leave out.

    Raises:
        UserError: a key is missing, shapes do not match, or a pose is not finite.
    """
    for key in _NEEDED:
        if key not in arrays:
            raise UserError(f"{path}: {key}: missing; expected the keys {', '.join(_NEEDED)}")
    poses, starts, lengths = arrays["poses"], arrays["clip_start"], arrays["clip_len"]
    is_ok = arrays.get("ok", np.ones(len(poses), dtype=bool)).astype(bool)
    if poses.ndim != 2 or poses.shape[1] != 72 or is_ok.shape != poses.shape[:1]:
        raise UserError(
            f"{path}: poses: expected shape (F, 72) and ok (F,), found {poses.shape}, {is_ok.shape}"
        )
    if not np.isfinite(poses[is_ok]).all():
        raise UserError(f"{path}: poses: not all entries are finite numbers; restore the file")
    if len({len(arrays[key]) for key in _NEEDED[1:]}) != 1 or (starts + lengths).max(initial=0) > len(poses):
        raise UserError(f"{path}: clip_len: the clips do not fit into {len(poses)} poses; restore the file")
    clips = []
    for name, fps, start, length in zip(arrays["clip_name"], arrays["fps"], starts, lengths, strict=True):
        span = slice(int(start), int(start + length))
        kept = poses[span][is_ok[span]].astype(np.float64)
        if len(kept):
            clips.append(Clip(str(name), float(fps), kept))
    return clips


FORMATS = ".bvh, .amc with its .asf, AMASS .npz, or the npz of SMPL poses"


def read_motion(
    source: Path, named: Mapping[str, str] | None = None, bind_frame: int | None = None
) -> list[Clip]:
    """The clips of a file, or of all files under a folder in the order of their names.

    Of a folder, files that are no motion or are faulty are left out; a line says which and why.

    Args:
        source: the file or folder.
        named: SMPL joint → bone, for skeletons with names of their own (see `skeleton.load_bone_names`).
        bind_frame: index of the frame that shows the T-pose, for recordings on skeletons of their own.

    Raises:
        UserError: there is no such file or folder, it holds no motion, or it is a file and is faulty.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; correct prior.motion")
    files = [path for path in sorted(source.rglob("*")) if path.is_file()] if source.is_dir() else [source]
    clips: list[Clip] = []
    other: list[Path] = []
    faults: list[str] = []
    for path in files:
        try:
            found = read_file(path, named, bind_frame)
        except UserError as error:
            faults.append(str(error))
            continue
        clips += found
        if not found and not path.name.lower().removesuffix(".gz").endswith(".asf"):
            other.append(path)
    if not clips and faults:
        raise UserError(faults[0])
    if not clips:
        raise UserError(f"{source}: contains no recorded motion; give {FORMATS}")
    if faults:
        say(f"{source}: {len(faults)} of {len(files)} files left out, the first: {faults[0]}")
    if other:
        names = ", ".join(path.name for path in other[:3])
        say(f"{source}: {len(other)} of {len(files)} files are no motion: {names}{' …' * (len(other) > 3)}")
    return clips


def read_file(
    path: Path, named: Mapping[str, str] | None = None, bind_frame: int | None = None
) -> list[Clip]:
    """The clips of one file; none if it is not motion.

    Args:
        path: the file.
        named: as in `read_motion`.
        bind_frame: as in `read_motion`.

    Raises:
        UserError: the file is damaged, or its skeleton is not understood.
    """
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    with reading(path, "a readable recording", "restore the file"):
        if kind == "bvh":
            return [to_clip(read_bvh(path), _stem(path), str(path), named, bind_frame)]
        if kind == "amc":
            recording = read_amc(path, skeleton_of(path))
            return [to_clip(recording, _stem(path), str(path), named, bind_frame)]
        return _read_npz(path) if kind == "npz" else []


def _read_npz(path: Path) -> list[Clip]:
    # Other arrays are not read; some in published files are pickles.
    arrays = read_npz(path, "restore the file", {*AMASS_KEYS, *BUNDLE_KEYS})
    if "clip_start" in arrays:
        return read_bundle(path, arrays)
    return [read_amass(path, arrays)] if is_amass(set(arrays)) else []


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]
