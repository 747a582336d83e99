"""Many clips in one npz file, already in SMPL's angles."""

from pathlib import Path

import numpy as np

from spinloop.errors import UserError
from spinloop.motion.clips import Clip

_NEEDED = ("poses", "clip_name", "clip_start", "clip_len", "fps")
KEYS = (*_NEEDED, "ok")


def read_bundle(path: Path, arrays: dict[str, np.ndarray]) -> list[Clip]:
    """The clips of a bundle.

    Args:
        path: the file, for the messages.
        arrays: `poses` (F, 72) of all clips, one after the other; for each clip `clip_name`, `clip_start`,
            `clip_len` (frames) and `fps`; optionally `ok` (F,), false for rows to be left out.

    Raises:
        UserError: a key is missing, the shapes do not fit together, or a pose is not finite.
    """
    for key in _NEEDED:
        if key not in arrays:
            raise UserError(f"{path}: {key}: missing; expected the keys {', '.join(_NEEDED)}")
    poses, starts, lengths = arrays["poses"], arrays["clip_start"], arrays["clip_len"]
    fine = arrays.get("ok", np.ones(len(poses), dtype=bool)).astype(bool)
    if poses.ndim != 2 or poses.shape[1] != 72 or fine.shape != poses.shape[:1]:
        raise UserError(
            f"{path}: poses: expected shape (F, 72) and ok (F,), found {poses.shape}, {fine.shape}"
        )
    if not np.isfinite(poses[fine]).all():
        raise UserError(f"{path}: poses: not all entries are finite numbers; restore the file")
    if len({len(arrays[key]) for key in _NEEDED[1:]}) != 1 or (starts + lengths).max(initial=0) > len(poses):
        raise UserError(f"{path}: clip_len: the clips do not fit into {len(poses)} poses; restore the file")
    clips = []
    for name, fps, start, length in zip(arrays["clip_name"], arrays["fps"], starts, lengths, strict=True):
        span = slice(int(start), int(start + length))
        kept = poses[span][fine[span]].astype(np.float64)
        if len(kept):
            clips.append(Clip(str(name), float(fps), kept))
    return clips
