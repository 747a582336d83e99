"""Joint sets of detectors, told apart by content, and their way into OpenPose's BODY_25.

A set is known by the names that a file gives its joints, else by how many there are. Two sets of 25 exist: in
BODY_25 the middle of the hips lies between the hips and the eyes beside the nose; BODY_25B, which has COCO's
order, has other joints at those places.

Source:
    OpenPose's `poseParameters.cpp` (BODY_25, BODY_25B, BODY_135, COCO, MPI); Halpe-FullBody's list of joints;
    COCO-WholeBody's; CrowdPose's.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.joints import COCO17, COMMON24, MODEL49, N_OPENPOSE, OPENPOSE18, OPENPOSE25, JointSet

People = Float[np.ndarray, "P 25 3"]


class Layout(NamedTuple):
    """The joints of a detector, in its order."""

    title: str
    """As its authors write it."""
    joints: JointSet
    """Names; those that no set of ours has are only counted."""


_FEET_BY_SIDE = OPENPOSE25[19:]
_FEET_BY_KIND = tuple(
    f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")
)
_BODY_25B = (*COCO17, "upper_neck", "head_top", *_FEET_BY_SIDE)
_HALPE_26 = (*COCO17, "head_top", "neck", "mid_hip", *_FEET_BY_KIND)
_MPI_15 = ("head_top", *OPENPOSE18[1:14], "chest")
_CROWDPOSE_14 = (*COCO17[5:], "head_top", "neck")
_MPII_16 = (*COMMON24[:6], "pelvis_mpii", "thorax_mpii", "upper_neck", "head_top", *COMMON24[6:12])


def _padded(joints: JointSet, count: int) -> JointSet:
    return (*joints, *(f"other_{number}" for number in range(len(joints), count)))


LAYOUTS: dict[str, Layout] = {
    "body_25": Layout("BODY_25", OPENPOSE25),
    "body_25b": Layout("BODY_25B", _BODY_25B),
    "body_135": Layout("BODY_135", _padded(_BODY_25B, 135)),
    "coco_17": Layout("COCO 17", COCO17),
    "coco_18": Layout("COCO 18", OPENPOSE18),
    "crowdpose_14": Layout("CrowdPose 14", _CROWDPOSE_14),
    "halpe_26": Layout("HALPE_26", _HALPE_26),
    "halpe_136": Layout("HALPE_136", _padded(_HALPE_26, 136)),
    "lsp_14": Layout("LSP 14", COMMON24[:14]),
    "mpi_15": Layout("MPI 15", _MPI_15),
    "mpii_16": Layout("MPII 16", _MPII_16),
    "spin_44": Layout("SPIN's first 44", MODEL49[:44]),
    "spin_49": Layout("SPIN's 49", MODEL49),
    "wholebody_133": Layout("COCO-WholeBody 133", _padded((*COCO17, *_FEET_BY_SIDE), 133)),
}
"""By the word that `--format` takes."""

_BY_COUNT = {
    len(layout.joints): layout
    for word, layout in LAYOUTS.items()
    if word not in ("body_25b", "crowdpose_14", "lsp_14")
}
# OpenPose's joints that lie in the middle of two others.
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
# Pairs that lie close together in a person, by their places in the two sets of 25.
_CLOSE_25 = ((0, 15), (0, 16), (15, 17), (16, 18), (11, 24), (14, 21), (8, 9), (8, 12))
_CLOSE_25B = ((0, 1), (0, 2), (1, 3), (2, 4), (15, 21), (16, 24), (11, 12))
_WORDS = {
    "hip": "mid_hip", "pelvis": "mid_hip", "root": "mid_hip", "midhip": "mid_hip", "hips": "mid_hip",
    "center_hip": "mid_hip", "thorax": "thorax_mpii", "head": "head_top", "top_head": "head_top",
}  # fmt: skip
_PARTS = {"bigtoe": "big_toe", "smalltoe": "small_toe", "littletoe": "small_toe", "little_toe": "small_toe"}
MIN_KNOWN = 4
"""Joints that a named set must share with BODY_25 to be one of people."""


def layout_of_word(word: str) -> Layout | None:
    """The set that `--format` names; None for `auto`.

    Raises:
        UserError: there is no such set.
    """
    if word in ("", "auto"):
        return None
    if word not in LAYOUTS:
        raise UserError(f"--format {word}: no such joint set; one of auto, {', '.join(sorted(LAYOUTS))}")
    return LAYOUTS[word]


def layout_of_count(count: int) -> Layout | None:
    """The set that has so many joints; BODY_25 for 25, see `is_body_25b`."""
    return _BY_COUNT.get(count)


def layout_of_names(names: Sequence[str]) -> Layout | None:
    """The set of joints that a file names itself; None if too few of them are BODY_25's."""
    joints = tuple(joint_of_name(name) for name in names)
    known = [name for name in joints if name in OPENPOSE25]
    if len(known) < MIN_KNOWN or len(set(known)) < len(known):
        return None
    for layout in LAYOUTS.values():
        if len(layout.joints) == len(joints) and all(
            (one == other) or not {one, other} & set(OPENPOSE25)
            for one, other in zip(layout.joints, joints, strict=True)
        ):
            return layout
    return Layout(f"{len(joints)} named joints", joints)


def joint_of_name(name: str) -> str:
    """Our name of a joint: `LShoulder`, `l_shoulder`, `Left Shoulder`, `shoulder.L` → `left_shoulder`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\b[LR])(?=[A-Z][a-z])", "_", name.strip())
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    side = next((word for word in words if word in ("l", "r", "left", "right")), "")
    part = "_".join(word for word in words if word != side)
    part = _PARTS.get(part, part)
    if side:
        return f"{'left' if side[0] == 'l' else 'right'}_{part}"
    return _WORDS.get(part, part)


def is_body_25b(people: Float[np.ndarray, "P 25 3"]) -> bool | None:
    """Whether people of 25 joints are in BODY_25B's order; None if their joints cannot tell.

    Compared are distances of joints that lie close together in one order and not in the other.
    """
    seen = people[..., 2] > 0
    scores = [_mean_distance(people, seen, pairs) for pairs in (_CLOSE_25, _CLOSE_25B)]
    as_25, as_25b = scores
    if not np.isfinite(scores).all():
        return None
    if as_25b < 0.5 * as_25:
        return True
    return False if as_25 < 0.5 * as_25b else None


def to_body_25(people: Float[np.ndarray, "P K 3"], joints: JointSet) -> People:
    """BODY_25 of people whose joints have these names.

    Args:
        people: x, y (px), score; 0 is not seen.
        joints: their names.

    Returns:
        Neck and middle of the hips, where the set lacks them, are the middles of two joints: with the lower
        score of these, seen only if both are. Other joints that the set lacks are not seen.
    """
    found = np.zeros((len(people), N_OPENPOSE, 3))
    for target, sources in enumerate(_sources(joints)):
        for source in sources:
            is_unseen = found[:, target, 2:] == 0
            found[:, target] = np.where(is_unseen, people[:, source], found[:, target])
    for name, pair in _MIDDLES.items():
        place = OPENPOSE25.index(name)
        if not _sources(joints)[place]:
            left, right = (found[:, OPENPOSE25.index(side)] for side in pair)
            found[:, place, :2] = (left[:, :2] + right[:, :2]) / 2
            found[:, place, 2] = np.minimum(left[:, 2], right[:, 2])
    found[found[..., 2] == 0] = 0.0
    return found


@lru_cache
def _sources(joints: JointSet) -> tuple[tuple[int, ...], ...]:
    """Where each joint of BODY_25 stands in a set, OpenPose's own before an annotated one."""
    return tuple(
        tuple(joints.index(name) for name in (f"op_{target}", target) if name in joints)
        for target in OPENPOSE25
    )


def _mean_distance(people: np.ndarray, seen: np.ndarray, pairs: Sequence[tuple[int, int]]) -> float:
    """Mean distance of pairs that are seen, relative to a person's extent; NaN if there are none."""
    one, other = (list(places) for places in zip(*pairs, strict=True))
    both = seen[:, one] & seen[:, other]
    low = np.where(seen[..., None], people[..., :2], np.inf).min(1)
    high = np.where(seen[..., None], people[..., :2], -np.inf).max(1)
    extent = (high - low).max(-1)
    both &= (extent > 0)[:, None]
    if not both.any():
        return float("nan")
    gaps = np.linalg.norm(people[:, one, :2] - people[:, other, :2], axis=-1)
    return float((gaps / np.where(extent > 0, extent, 1.0)[:, None])[both].mean())
