"""Reader of Biovision BVH files."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.motion.clips import Recording, numbers, read_lines


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
    for number, text in enumerate(lines):
        words = text.split()
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
            case ["CHANNELS", _, *channels] if stack and stack[-1] is not None:
                bones[stack[-1]] = bones[stack[-1]]._replace(channels=tuple(channels))
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
            order = "".join(axis for _, axis in angles_of)
            angles = frames[:, [column + i for i, _ in angles_of]]
            # Capital letters: about the bone's own axes, in the order of the channels.
            yield Rotation.from_euler(order, angles, degrees=True).as_matrix().reshape(-1, 3, 3)
        else:
            yield np.tile(np.eye(3), (len(frames), 1, 1))
        column += len(bone.channels)
