"""Recorded clips as SMPL poses, and the mixed bag of frames that a distribution is learnt from.

A recording on a skeleton of its own: what BVH and ASF/AMC files hold, before it becomes SMPL's angles.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.errors import UserError
from spinloop.joints import SMPL24, SMPL24_FLIP


class Clip(NamedTuple):
    """One recording."""

    name: str
    fps: float
    poses: Float[np.ndarray, "F 72"]
    """Axis-angle of the 24 joints, radians; a joint that the recording lacks is zero in all frames."""


def recorded_joints(clip: Clip) -> Bool[np.ndarray, " 24"]:
    """Joints that move in the clip; a skeleton without a joint leaves it at zero throughout."""
    return np.abs(clip.poses.reshape(-1, len(SMPL24), 3)).max(axis=(0, 2)) > 1e-6


class Frames(NamedTuple):
    """Body poses of many clips, unordered for the purpose of statistics."""

    poses: Float[np.ndarray, "N 69"]
    is_recorded: Bool[np.ndarray, "N 23"]
    """False where the clip's skeleton lacks the joint."""


def thin(clips: Sequence[Clip], frames_per_clip: int) -> Frames:
    """At most `frames_per_clip` evenly spaced frames of each clip, so that long clips do not dominate."""
    poses, recorded = [], []
    for clip in clips:
        n = min(frames_per_clip, len(clip.poses))
        chosen = ((np.arange(n) + 0.5) * len(clip.poses) / n).astype(int)
        poses.append(clip.poses[chosen, 3:].astype(np.float64))
        recorded.append(np.repeat(recorded_joints(clip)[None, 1:], n, axis=0))
    return Frames(np.concatenate(poses), np.concatenate(recorded))


def with_mirror_images(frames: Frames) -> Frames:
    """The frames and their mirror images: over all people, left and right are alike."""
    order = np.array(SMPL24_FLIP[1:]) - 1
    turned = frames.poses.reshape(-1, 23, 3)[:, order] * [1.0, -1.0, -1.0]
    return Frames(
        np.concatenate([frames.poses, turned.reshape(-1, 69)]),
        np.concatenate([frames.is_recorded, frames.is_recorded[:, order]]),
    )


class Recording(NamedTuple):
    """Rotations of a tree of bones over time.

    In the zero pose every rotation is the identity and bone j stands at `rest[j]`, in the recording's own
    axes and unit of length.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """−1 for the root; a parent comes before its children."""
    rest: Float[np.ndarray, "J 3"]
    """Start of each bone in the zero pose."""
    tips: Float[np.ndarray, "J 3"]
    """Its end: where its first child with a length starts, or its own end site."""
    rotations: Float[np.ndarray, "F J 3 3"]
    """Of each bone against its parent; the root's against the world."""
    fps: float


def world_rotations(
    rotations: Float[np.ndarray, "F J 3 3"], parents: Sequence[int]
) -> Float[np.ndarray, "F J 3 3"]:
    """Rotation of each bone against the world."""
    world = np.empty_like(rotations)
    for bone, parent in enumerate(parents):
        world[:, bone] = rotations[:, bone] if parent < 0 else world[:, parent] @ rotations[:, bone]
    return world


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, unpacked if its name ends in `.gz`.

    Raises:
        UserError: the file is absent, not text, or its compression is damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return content.decode("utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check prior.motion") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable text ({error}); restore the file") from None


def numbers(path: Path, line: int, words: Sequence[str]) -> list[float]:
    """The words as numbers.

    Args:
        path: named in the message.
        line: counted from zero, named in the message.
        words: to be read.

    Raises:
        UserError: a word is not a finite number.
    """
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{path}: line {line + 1}: {error}; restore the file") from None
    if not np.isfinite(values).all():
        raise UserError(f"{path}: line {line + 1}: not a finite number; restore the file")
    return values
