"""Reader of Acclaim's ASF (skeleton) and AMC (motion) files, as the CMU database publishes them."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.motion.clips import Recording, numbers, read_lines

# Frame rate of the CMU database; the files do not contain it.
CMU_FPS = 120.0


class _Bone(NamedTuple):
    name: str
    vector: Float[np.ndarray, " 3"]
    """From start to end in the zero pose."""
    axis: Float[np.ndarray, "3 3"]
    """The frame in which its angles are given."""
    dof: tuple[str, ...]


def read_amc(path: Path, skeleton: Path, fps: float = CMU_FPS) -> Recording:
    """Read a motion on its skeleton, each plain or with `.gz`.

    Args:
        path: the AMC file.
        skeleton: the ASF file of the same person.
        fps: frames per second.

    Raises:
        UserError: a file is malformed, or the skeleton lacks a bone of the motion; the line is named.
    """
    bones, parents = _skeleton(skeleton)
    index = {bone.name: i for i, bone in enumerate(bones)}
    rest, tips = np.zeros((len(bones), 3)), np.zeros((len(bones), 3))
    for i, bone in enumerate(bones):
        rest[i] = tips[parents[i]] if parents[i] >= 0 else 0
        tips[i] = rest[i] + bone.vector
    frames = _frames(path, bones, index)
    rotations = np.empty((len(frames), len(bones), 3, 3))
    for i, bone in enumerate(bones):
        local = Rotation.from_euler("xyz", frames[:, i], degrees=True).as_matrix()
        rotations[:, i] = bone.axis @ local @ bone.axis.T
    return Recording(tuple(bone.name for bone in bones), parents, rest, tips, rotations, fps)


def skeleton_of(path: Path) -> Path:
    """The ASF file beside an AMC file: `02.asf` or `02-walk.asf` for `02_01.amc`, or the only one.

    Raises:
        UserError: there is none, or there are several candidates.
    """
    beside = sorted(p for p in path.parent.iterdir() if re.search(r"\.asf(\.gz)?$", p.name, re.IGNORECASE))
    subject = re.match(r"\d+", path.name)
    same = [p for p in beside if subject and (match := re.match(r"\d+", p.name)) and match[0] == subject[0]]
    fitting = same or beside
    if len(fitting) != 1:
        found = ", ".join(p.name for p in fitting) or "none"
        raise UserError(f"{path}: expected one skeleton (.asf) beside it, found {found}; put it there")
    return fitting[0]


def _skeleton(path: Path) -> tuple[list[_Bone], tuple[int, ...]]:
    sections = _sections(path)
    for key in ("bonedata", "hierarchy"):
        if key not in sections:
            raise UserError(f"{path}: :{key}: missing; restore the file")
    root = _Bone("root", np.zeros(3), np.eye(3), ("rx", "ry", "rz"))
    bones = {"root": root}
    for block in _blocks(path, sections["bonedata"]):
        bone = _bone(path, block)
        bones[bone.name] = bone
    parent_of: dict[str, str] = {}
    for block in _blocks(path, sections["hierarchy"]):
        for number, (parent, *children) in block:
            for name in (parent, *children):
                if name not in bones:
                    raise UserError(f"{path}: line {number + 1}: unknown bone {name}; restore the file")
            parent_of |= dict.fromkeys(children, parent)
    order = ["root"]
    for name in order:
        order += [child for child, parent in parent_of.items() if parent == name]
    position = {name: i for i, name in enumerate(order)}
    parents = (-1, *(position[parent_of[name]] for name in order[1:]))
    return [bones[name] for name in order], parents


Line = tuple[int, list[str]]


def _sections(path: Path) -> dict[str, list[Line]]:
    sections: dict[str, list[Line]] = {}
    current: list[Line] = []
    for number, text in enumerate(read_lines(path)):
        words = text.split("#")[0].split()
        if words and words[0].startswith(":"):
            current = sections.setdefault(words[0][1:].lower(), [])
        elif words:
            current.append((number, words))
    return sections


def _blocks(path: Path, lines: list[Line]) -> list[list[Line]]:
    blocks: list[list[Line]] = []
    is_open = False
    for number, words in lines:
        if words[0] == "begin":
            blocks.append([])
            is_open = True
        elif words[0] == "end":
            is_open = False
        elif is_open:
            blocks[-1].append((number, words))
        else:
            raise UserError(f"{path}: line {number + 1}: outside begin … end; restore the file")
    if is_open:
        raise UserError(f"{path}: ends inside a block; restore the file")
    return blocks


def _bone(path: Path, block: list[Line]) -> _Bone:
    entries = {words[0]: (number, words[1:]) for number, words in block}
    for key, least in (("name", 1), ("direction", 3), ("length", 1), ("axis", 4)):
        if key not in entries or len(entries[key][1]) < least:
            raise UserError(f"{path}: line {block[0][0] + 1}: a bone without {key}; restore the file")
    direction = np.array(numbers(path, entries["direction"][0], entries["direction"][1][:3]))
    length = numbers(path, entries["length"][0], entries["length"][1][:1])[0]
    angles = numbers(path, entries["axis"][0], entries["axis"][1][:3])
    # "XYZ": about the fixed x axis first, then y, then z.
    axis = Rotation.from_euler(entries["axis"][1][3].lower(), angles, degrees=True).as_matrix()
    dof = tuple(word for word in entries.get("dof", (0, []))[1] if word in ("rx", "ry", "rz"))
    return _Bone(entries["name"][1][0], length * direction, axis, dof)


def _frames(path: Path, bones: list[_Bone], index: dict[str, int]) -> Float[np.ndarray, "F J 3"]:
    """Angles about x, y and z of every bone, degrees."""
    frames: list[np.ndarray] = []
    for number, text in enumerate(read_lines(path)):
        words = text.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append(np.zeros((len(bones), 3)))
            continue
        if words[0] not in index or not frames:
            raise UserError(f"{path}: line {number + 1}: unknown bone {words[0]}; put its own .asf beside it")
        bone = index[words[0]]
        values = numbers(path, number, words[1:])
        if bone == 0:
            values = values[3:]  # the root's position comes before its angles
        if len(values) != len(bones[bone].dof):
            expected = len(bones[bone].dof)
            raise UserError(
                f"{path}: line {number + 1}: expected {expected} angles of {words[0]}; restore the file"
            )
        for axis, value in zip(bones[bone].dof, values, strict=True):
            frames[-1][bone, "xyz".index(axis[1])] = value
    if not frames:
        raise UserError(f"{path}: no frame of motion; restore the file")
    return np.array(frames)
