"""Clips of SMPL poses, recordings on a skeleton of their own, and helpers for text files of motion."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.errors import UserError
from spinloop.files import read_text
from spinloop.joints import SMPL24


class Clip(NamedTuple):
    """One recording."""

    name: str
    fps: float
    poses: Float[np.ndarray, "F 72"]
    """Axis-angle of the 24 joints, radians; zero in all frames for a joint that the recording lacks."""


def recorded_joints(clip: Clip) -> Bool[np.ndarray, " 24"]:
    """Joints that the clip's skeleton has: those that are not zero in all frames."""
    return np.abs(clip.poses.reshape(-1, len(SMPL24), 3)).max(axis=(0, 2)) > 1e-6


class Recording(NamedTuple):
    """Rotations of a tree of bones over time, as BVH and ASF/AMC files hold them.

    In the zero pose every rotation is the identity and bone j starts at `rest[j]`, in the recording's own
    axes and unit of length.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """−1 for the root; a parent comes before its children."""
    rest: Float[np.ndarray, "J 3"]
    """Start of each bone in the zero pose."""
    tips: Float[np.ndarray, "J 3"]
    """End of each bone: the start of its first child with a length, or its own end site."""
    rotations: Float[np.ndarray, "F J 3 3"]
    """Of each bone relative to its parent; the root's relative to the world."""
    fps: float


def world_rotations(
    rotations: Float[np.ndarray, "F J 3 3"], parents: Sequence[int]
) -> Float[np.ndarray, "F J 3 3"]:
    """Rotation of each bone relative to the world."""
    world = np.empty_like(rotations)
    for bone, parent in enumerate(parents):
        world[:, bone] = rotations[:, bone] if parent < 0 else world[:, parent] @ rotations[:, bone]
    return world


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, decompressed if its name ends in `.gz`.

    Raises:
        UserError: the file is absent, is not text, or its compression is damaged.
    """
    return read_text(path, "check prior.motion").splitlines()


def numbers(path: Path, line: int, words: Sequence[str]) -> list[float]:
    """Words of a line as numbers.

    Args:
        path: the file, for the message.
        line: index of the line, for the message.
        words: the words.

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
