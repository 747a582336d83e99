"""Errors of joints that a detector or annotator sees, and of those hidden from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# How many joints are hidden, in words, and the most that count so.
_BINS = (("none", 0), ("1 or 2", 2), ("3 to 5", 5), ("6 or more", 17))


@dataclass(frozen=True)
class Occlusion:
    """Errors by what is seen, of one training on one split; mm after alignment."""

    label: str
    """The training, for people."""
    by_joint: dict[str, tuple[float | None, float | None]]
    """Joint → mean error where it is seen, where it is not; None where that never happens."""
    by_count: dict[str, tuple[int, float]]
    """How many joints are hidden, in words → people, their mean error."""


def measure_occlusion(
    label: str,
    joints: Sequence[str],
    errors_mm: Float[np.ndarray, "N J"],
    is_seen: Bool[np.ndarray, "N J"],
) -> Occlusion | None:
    """Split the errors by what is seen in 2D.

    Args:
        label: the training, for people.
        joints: names.
        errors_mm: of each joint after alignment.
        is_seen: whether its 2D place is annotated.

    Returns:
        None where the split has no 2D joints.
    """
    if not is_seen.any():
        return None
    by_joint = {
        name: (_mean(errors_mm[is_seen[:, row], row]), _mean(errors_mm[~is_seen[:, row], row]))
        for row, name in enumerate(joints)
    }
    # A joint that nobody has in 2D is not hidden; the split does not annotate it.
    n_hidden = (~is_seen[:, is_seen.any(0)]).sum(1)
    by_count, fewer = {}, -1
    for name, most in _BINS:
        chosen = (n_hidden > fewer) & (n_hidden <= most)
        fewer = most
        if chosen.any():
            by_count[name] = (int(chosen.sum()), float(errors_mm[chosen].mean()))
    return Occlusion(label, by_joint, by_count)


def _mean(values: Float[np.ndarray, " N"]) -> float | None:
    return float(values.mean()) if len(values) else None
