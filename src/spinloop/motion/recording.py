"""A recording on a skeleton of its own: what BVH and ASF/AMC files hold, before it becomes SMPL's angles."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError


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
