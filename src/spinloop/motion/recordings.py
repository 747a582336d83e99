"""Readers of recorded motion on skeletons of its own: Biovision BVH, and the ASF/AMC of the CMU database."""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.motion.clips import Recording, numbers, read_lines

_BRACES = re.compile(r"(?<=[{}])|(?=[{}])")
_CHANNELS = {f"{axis}{kind}" for axis in "xyz" for kind in ("position", "rotation", "scale")}


class _Bone(NamedTuple):
    name: str
    parent: int
    rest: np.ndarray
    channels: tuple[str, ...]


def read_bvh(path: Path) -> Recording:
    """Read a BVH file, plain or with `.gz`.

    Raises:
        UserError: the hierarchy is malformed, or a frame is short; the line is named.
    """
    lines = read_lines(path)
    bones, tips, line = _hierarchy(path, lines)
    frames, fps = _motion(path, lines, line, sum(len(bone.channels) for bone in bones))
    rotations = np.stack(list(_rotations(bones, frames)), axis=1)
    return Recording(
        tuple(bone.name for bone in bones),
        tuple(bone.parent for bone in bones),
        np.array([bone.rest for bone in bones]),
        tips,
        rotations,
        fps,
    )


def _hierarchy(path: Path, lines: list[str]) -> tuple[list[_Bone], np.ndarray, int]:
    """Bones, their tips, and the index of the line MOTION."""
    bones: list[_Bone] = []
    ends: dict[int, np.ndarray] = {}
    stack: list[int | None] = []  # open braces: the bone, or None for an end site
    opening: int | None = None
    pieces = ((number, piece) for number, text in enumerate(lines) for piece in _BRACES.split(text))
    for number, piece in pieces:
        words = piece.split()
        match words:
            case ["ROOT" | "JOINT", *name]:
                parent = next((bone for bone in reversed(stack) if bone is not None), -1)
                bones.append(_Bone(" ".join(name), parent, np.zeros(3), ()))
                opening = len(bones) - 1
            case ["End", *_]:
                opening = None
            case ["{"]:
                stack.append(opening)
            case ["}"] if stack:
                stack.pop()
            case ["OFFSET", *offset] if stack and len(offset) == 3:
                values = np.array(numbers(path, number, offset))
                bone = stack[-1]
                if bone is None:
                    holder = stack[-2]
                    if holder is not None:
                        ends[holder] = bones[holder].rest + values
                else:
                    above = bones[bone].parent
                    start = values if above < 0 else bones[above].rest + values
                    bones[bone] = bones[bone]._replace(rest=start)
            case ["CHANNELS", count, *channels] if stack and stack[-1] is not None:
                named = tuple(channel.lower() for channel in channels)
                if count != str(len(named)) or not {*named} <= _CHANNELS:
                    raise UserError(
                        f"{path}: line {number + 1}: expected {count} channels such as Zrotation, found "
                        f"{' '.join(channels) or 'none'}; correct the line"
                    )
                bones[stack[-1]] = bones[stack[-1]]._replace(channels=named)
            case ["MOTION"] if not stack and bones:
                return bones, _tips(bones, ends), number
            case [] | ["HIERARCHY"]:
                pass
            case _:
                raise UserError(
                    f"{path}: line {number + 1}: not expected in a BVH hierarchy; restore the file"
                )
    raise UserError(f"{path}: ends before MOTION; restore the file")


def _tips(bones: list[_Bone], ends: dict[int, np.ndarray]) -> Float[np.ndarray, "J 3"]:
    tips = []
    for index, bone in enumerate(bones):
        children = [child.rest for child in bones if child.parent == index]
        children += [ends[index]] if index in ends else []
        far = [tip for tip in children if np.linalg.norm(tip - bone.rest) > 1e-6]
        tips.append(far[0] if far else bone.rest)
    return np.array(tips)


def _motion(path: Path, lines: list[str], start: int, width: int) -> tuple[np.ndarray, float]:
    header = [text.split() for text in lines[start + 1 : start + 3]]
    if len(header) != 2 or header[0][:1] != ["Frames:"] or header[1][:2] != ["Frame", "Time:"]:
        raise UserError(f"{path}: line {start + 2}: expected Frames: and Frame Time:; restore the file")
    n_frames = int(numbers(path, start + 1, header[0][1:2])[0])
    seconds = numbers(path, start + 2, header[1][2:3])[0]
    rows = [
        (number, text.split()) for number, text in enumerate(lines) if number > start + 2 and text.strip()
    ]
    if len(rows) < n_frames or n_frames < 1 or seconds <= 0:
        raise UserError(f"{path}: expected {n_frames} frames, found {len(rows)}; restore the file")
    values = [numbers(path, number, words) for number, words in rows[:n_frames]]
    short = next((i for i, row in enumerate(values) if len(row) != width), None)
    if short is not None:
        number = rows[short][0] + 1
        raise UserError(
            f"{path}: line {number}: expected {width} numbers, found {len(values[short])}; restore it"
        )
    return np.array(values).reshape(n_frames, width), 1 / seconds


def _rotations(bones: list[_Bone], frames: Float[np.ndarray, "F C"]) -> Iterator[np.ndarray]:
    column = 0
    for bone in bones:
        angles_of = [(i, name[0]) for i, name in enumerate(bone.channels) if name.endswith("rotation")]
        if angles_of:
            order = "".join(axis.upper() for _, axis in angles_of)
            angles = frames[:, [column + i for i, _ in angles_of]]
            # Capital letters: about the bone's own axes, in the order of the channels.
            yield Rotation.from_euler(order, angles, degrees=True).as_matrix().reshape(-1, 3, 3)
        else:
            yield np.tile(np.eye(3), (len(frames), 1, 1))
        column += len(bone.channels)


# Frame rate of the CMU database; the files do not contain it.
CMU_FPS = 120.0


class _Bone_asf(NamedTuple):
    name: str
    vector: Float[np.ndarray, " 3"]
    """From start to end in the zero pose."""
    axis: Float[np.ndarray, "3 3"]
    """The frame in which its angles are given."""
    dof: tuple[str, ...]
    """Channels in the order of the motion file; those that are no angles (tx, ty, tz, l) are skipped."""


_ROOT_CHANNELS = {f"{kind}{axis}" for kind in "tr" for axis in "xyz"}


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
    frames, is_degrees = _frames(path, bones, index)
    rotations = np.empty((len(frames), len(bones), 3, 3))
    for i, bone in enumerate(bones):
        # Small letters: about fixed axes, in the order in which the channels are listed.
        order = "".join(word[1] for word in bone.dof if word[0] == "r")
        order += "".join(axis for axis in "xyz" if axis not in order)
        angles = frames[:, i, ["xyz".index(axis) for axis in order]]
        local = Rotation.from_euler(order, angles, degrees=is_degrees).as_matrix()
        rotations[:, i] = bone.axis @ local @ bone.axis.T
    return Recording(tuple(bone.name for bone in bones), parents, rest, tips, rotations, fps)


def skeleton_of(path: Path) -> Path:
    """The ASF file beside an AMC file: the only one, or the one whose name agrees with its name the longest.

    So `02.asf` or `02-walk.asf` belongs to `02_01.amc`, and `HDM_bd.asf` to `HDM_bd_walk_001_120.amc`.

    Raises:
        UserError: there is none, or there are several candidates.
    """
    beside = sorted(p for p in path.parent.iterdir() if re.search(r"\.asf(\.gz)?$", p.name, re.IGNORECASE))
    if len(beside) == 1:
        return beside[0]
    agreement = {
        asf: len([*takewhile(lambda pair: pair[0] == pair[1], zip(asf.name, path.name, strict=False))])
        for asf in beside
    }
    # `1.asf` is not of the subject of `12_01.amc`.
    known = [asf for asf in beside if agreement[asf] and _subject(asf) in (None, _subject(path))]
    fitting = [asf for asf in known if agreement[asf] == max(agreement[other] for other in known)]
    if len(fitting) != 1:
        found = ", ".join(p.name for p in fitting or beside) or "none"
        raise UserError(f"{path}: expected one skeleton (.asf) beside it, found {found}; put it there")
    return fitting[0]


def _subject(path: Path) -> str | None:
    number = re.match(r"\d+", path.name)
    return number[0] if number else None


def _skeleton(path: Path) -> tuple[list[_Bone_asf], tuple[int, ...]]:
    sections = _sections(path)
    for key in ("bonedata", "hierarchy"):
        if key not in sections:
            raise UserError(f"{path}: :{key}: missing; restore the file")
    if any(words[0] == "angle" and words[1:2] == ["rad"] for _, words in sections.get("units", [])):
        raise UserError(f"{path}: :units: angle rad is not read; convert the skeleton to degrees")
    root = _root(path, sections.get("root", []))
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


def _root(path: Path, lines: list[Line]) -> _Bone_asf:
    """The root: its channels in the order of `order`, turned by `orientation` about the axes of `axis`."""
    entries = {words[0].lower(): (number, words[1:]) for number, words in lines}
    number, order = entries.get("order", (0, ["tx", "ty", "tz", "rx", "ry", "rz"]))
    channels = tuple(word.lower() for word in order)
    if not {*channels} <= _ROOT_CHANNELS or len({*channels}) != len(channels):
        raise UserError(
            f"{path}: line {number + 1}: order: expected TX TY TZ RX RY RZ in some order, correct it"
        )
    line, angles = entries.get("orientation", (0, ["0", "0", "0"]))
    axes = "".join(entries.get("axis", (0, ["xyz"]))[1]).lower()
    axis = _axis(path, line, angles, axes)
    return _Bone_asf("root", np.zeros(3), axis, channels)


def _axis(path: Path, line: int, angles: list[str], order: str) -> np.ndarray:
    """The frame of a bone. "XYZ": about the fixed x axis first, then y, then z."""
    values = numbers(path, line, angles[:3])
    if len(values) != 3 or sorted(order) != ["x", "y", "z"]:
        raise UserError(
            f"{path}: line {line + 1}: expected three angles and an order such as XYZ; correct it"
        )
    return Rotation.from_euler(order, values, degrees=True).as_matrix()


def _bone(path: Path, block: list[Line]) -> _Bone_asf:
    entries = {words[0]: (number, words[1:]) for number, words in block}
    for key, least in (("name", 1), ("direction", 3), ("length", 1), ("axis", 4)):
        if key not in entries or len(entries[key][1]) < least:
            raise UserError(f"{path}: line {block[0][0] + 1}: a bone without {key}; restore the file")
    direction = np.array(numbers(path, entries["direction"][0], entries["direction"][1][:3]))
    length = numbers(path, entries["length"][0], entries["length"][1][:1])[0]
    axis = _axis(path, entries["axis"][0], entries["axis"][1][:3], entries["axis"][1][3].lower())
    dof = tuple(word.lower() for word in entries.get("dof", (0, []))[1])
    if not {*dof} <= _ROOT_CHANNELS | {"l"} or len({*dof}) != len(dof):
        line = entries["dof"][0] + 1
        raise UserError(f"{path}: line {line}: dof: expected rx, ry, rz, found {' '.join(dof)}; correct it")
    return _Bone_asf(entries["name"][1][0], length * direction, axis, dof)


def _frames(
    path: Path, bones: list[_Bone_asf], index: dict[str, int]
) -> tuple[Float[np.ndarray, "F J 3"], bool]:
    """Angles about x, y and z of every bone, and whether they are degrees."""
    frames: list[np.ndarray] = []
    is_degrees = True
    for number, text in enumerate(read_lines(path)):
        words = text.split()
        if not words or words[0][0] in "#:":
            is_degrees &= words[:1] not in ([":RADIANS"], [":radians"])
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append(np.zeros((len(bones), 3)))
            continue
        if words[0] not in index or not frames:
            raise UserError(f"{path}: line {number + 1}: unknown bone {words[0]}; put its own .asf beside it")
        bone = index[words[0]]
        values = numbers(path, number, words[1:])
        if len(values) != len(bones[bone].dof):
            expected = len(bones[bone].dof)
            raise UserError(
                f"{path}: line {number + 1}: expected {expected} angles of {words[0]}; restore the file"
            )
        for channel, value in zip(bones[bone].dof, values, strict=True):
            if channel[0] == "r":
                frames[-1][bone, "xyz".index(channel[1])] = value
    if not frames:
        raise UserError(f"{path}: no frame of motion; restore the file")
    return np.array(frames), is_degrees
