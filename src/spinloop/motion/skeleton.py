"""Which bone of a recording is which joint of SMPL: limbs and head by their names, the trunk by the tree.

Programs name bones in their own ways, with prefixes (`mixamorig:`, `Bip01`), with sides before or after, and
with any number of spine bones. A name is split into words (by capitals and separators); the side is a word of
its own, the rest is one of the synonyms of a limb. Of pelvis, spine, neck and collars only the place in the
tree counts.
"""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from spinloop.errors import UserError
from spinloop.joints import SMPL24
from spinloop.motion.clips import Recording
from spinloop.params.loader import load_yaml

_THIGH = ("femur", "upleg", "upperleg", "uleg", "thigh", "thighbend", "hip")
_SHIN = ("tibia", "leg", "lowleg", "lowerleg", "shin", "calf", "knee")
_FOOT = ("ankle", "foot")
_TOES = ("toes", "toebase", "toe", "ball", "foot")
_UPPER_ARM = ("humerus", "arm", "upperarm", "uparm", "shldr", "shldrbend", "shoulder")
_FOREARM = ("radius", "forearm", "forearmbend", "lowerarm", "lowarm", "elbow")
_HAND = ("wrist", "hand")
_PARTS = {*_THIGH, *_SHIN, *_FOOT, *_TOES, *_UPPER_ARM, *_FOREARM, *_HAND}
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

MAPPED = tuple(name for name in SMPL24 if name not in ("spine1", "spine2", "spine3"))
"""Keys of a file that names the bones."""
NEEDED = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "shoulder", "elbow")
)
"""Joints that every skeleton must have."""


class Skeleton(NamedTuple):
    """Bones of a recording by what they are."""

    bones: dict[str, int]
    """SMPL joint → bone, without SMPL's three spine joints; those that the recording lacks are absent."""
    spine: tuple[int, ...]
    """From the first bone above the pelvis to the one that carries the arms, in this order."""


def find_skeleton(recording: Recording, where: str, named: Mapping[str, str] | None = None) -> Skeleton:
    """Find SMPL's joints among the bones.

    Args:
        recording: with bones in any of the usual namings.
        where: the file, for messages.
        named: SMPL joint → name of the bone, for those that have unusual names.

    Raises:
        UserError: a limb is not found, `named` names a bone that is not there, or the tree is no person's.
    """
    tree = _Tree(recording.parents)
    limbs = _limbs(recording.names, tree)
    given = {joint: _find_named(recording.names, bone, joint, where) for joint, bone in (named or {}).items()}
    bones = limbs | given
    for joint in NEEDED:
        if joint not in bones:
            raise UserError(
                f"{where}: no bone for {joint} among {', '.join(recording.names[:12])} …; name the bones "
                "in a file (`--bones FILE`, a line `left_hip: bone` for each)"
            )
    arms = [bones[f"{side}_shoulder"] for side in ("left", "right")]
    hips = [bones[f"{side}_hip"] for side in ("left", "right")]
    pelvis = bones.setdefault("pelvis", reduce(tree.common, [*hips, *arms]))
    chest = tree.common(*arms)
    if pelvis < 0 or chest < 0 or pelvis not in tree.chain(chest):
        raise UserError(
            f"{where}: arms and legs hang on no common bone; name the pelvis in a file (`--bones`)"
        )
    spine = tree.between(pelvis, chest) + ([chest] if chest != pelvis else [])
    if "head" not in bones:
        heads = [i for i, name in enumerate(recording.names) if _words(name)[-1:] == ["head"]]
        bones |= {"head": heads[0]} if heads else {}
    if "head" in bones and "neck" not in bones:
        between = tree.between(tree.common(chest, bones["head"]), bones["head"])
        necks = [bone for bone in between if "neck" in recording.names[bone].lower()] or between[:1]
        bones |= {"neck": necks[0]} if necks else {}
    for side, arm in zip(("left", "right"), arms, strict=True):
        collars = tree.between(chest, arm)
        if collars:
            bones.setdefault(f"{side}_collar", collars[-1])
    return Skeleton(bones, tuple(spine))


def load_bone_names(path: Path) -> dict[str, str]:
    """Read a file (YAML or JSON) that names bones: SMPL joint → bone.

    Raises:
        UserError: the file is absent or unreadable, or a key is no joint of SMPL that can be named.
    """
    named = load_yaml(path)
    for joint, bone in named.items():
        if joint not in MAPPED:
            raise UserError(f"{path}: {joint}: no joint that can be named; choose among {', '.join(MAPPED)}")
        if not isinstance(bone, str):
            raise UserError(f"{path}: {joint}: expected the name of a bone, found {bone!r}; correct it")
    return {str(joint): str(bone) for joint, bone in named.items()}


class _Tree:
    """Ancestors and descendants by bone numbers; −1 stands for no bone."""

    def __init__(self, parents: Sequence[int]) -> None:
        self.parents = parents

    def chain(self, bone: int) -> list[int]:
        """The bone and its ancestors, upwards."""
        found = []
        while bone >= 0:
            found.append(bone)
            bone = self.parents[bone]
        return found

    def common(self, one: int, other: int) -> int:
        """The lowest bone above both, or one of them."""
        above = set(self.chain(one))
        return next((bone for bone in self.chain(other) if bone in above), -1)

    def between(self, top: int, bottom: int) -> list[int]:
        """Bones strictly between a bone and its ancestor, downwards."""
        chain = self.chain(bottom)
        return chain[1 : chain.index(top)][::-1] if top in chain else []


def _limbs(names: Sequence[str], tree: _Tree) -> dict[str, int]:
    """Bones of arms and legs: hands and feet first, then upwards; their names are the least ambiguous."""
    parts = [_part(name) for name in names]
    found: dict[str, int | None] = {}
    for side in ("left", "right"):
        word_of = {bone: part[1] for bone, part in enumerate(parts) if part is not None and part[0] == side}
        for joints, words in (
            (("hip", "knee", "ankle", "foot"), (_THIGH, _SHIN, _FOOT, _TOES)),
            (("shoulder", "elbow", "wrist", "hand"), (_UPPER_ARM, _FOREARM, _HAND, ("hand",))),
        ):
            end = _first(word_of, [*word_of], words[2])
            middle = _first(word_of, [*word_of] if end is None else tree.chain(end)[1:], words[1])
            top = None if middle is None else _first(word_of, tree.chain(middle)[1:], words[0])
            below = [] if end is None else [bone for bone in word_of if end in tree.chain(bone)[1:]]
            beyond = _first(word_of, below, words[3])
            bones = (top, middle, end, beyond)
            found |= {f"{side}_{joint}": bone for joint, bone in zip(joints, bones, strict=True)}
        # Only SMPL's own names have a joint in the palm; elsewhere a hand below a wrist does not turn.
        toes = found[f"{side}_foot"]
        if toes is None or word_of[toes] != "foot":
            found[f"{side}_hand"] = None
    return {joint: bone for joint, bone in found.items() if bone is not None}


def _first(word_of: Mapping[int, str], bones: Sequence[int], words: Sequence[str]) -> int | None:
    """The first of the bones that has one of the names; a name that stands earlier comes first for a foot."""
    if words in (_FOOT, _HAND):
        return next((bone for word in words for bone in bones if word_of.get(bone) == word), None)
    return next((bone for bone in bones if word_of.get(bone) in words), None)


def _words(name: str) -> list[str]:
    """Words of a bone's name in lower case, without numbers and what stands before a colon."""
    return [word.lower() for word in _WORD.findall(re.split(r"[:|]", name)[-1])]


def _part(name: str) -> tuple[str, str] | None:
    """Side and part of a limb that a bone's name says: `mixamorig:LeftUpLeg` gives `left` and `upleg`."""
    words = _words(name)
    for place, word in enumerate(words):
        if word in _SIDES:
            after, before = words[place + 1 :], words[:place]
            # What stands before a side may begin with a prefix (`DEF-upper_arm.L`); the longest part counts.
            tails = (
                ["".join(before[start:]) for start in range(len(before))] if not after else ["".join(after)]
            )
            part = next((tail for tail in tails if tail in _PARTS), None)
            return (_SIDES[word], part) if part else None
    joined = "".join(words)
    for prefix, side in _SIDES.items():
        if joined.startswith(prefix) and joined[len(prefix) :] in _PARTS:
            return side, joined[len(prefix) :]
    return None


def _find_named(names: Sequence[str], wanted: str, joint: str, where: str) -> int:
    def plain(name: str) -> str:
        return re.split(r"[:|]", name)[-1].strip().lower()

    for bone, name in enumerate(names):
        if name == wanted or plain(name) == plain(wanted):
            return bone
    raise UserError(f"{where}: no bone {wanted!r}, which is named for {joint}; it has {', '.join(names)}")
