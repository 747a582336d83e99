"""Retargeting of recordings from their own skeleton to SMPL's 24 rotations.

Each SMPL joint takes the world rotation of one bone, relative to the bind pose: a pose in which the recorded
person stands as SMPL's zero pose does. Zero poses of files are of many kinds (a T-pose; hanging arms, spread
legs; all bones along one axis), so the bind pose is the zero pose only if a person would stand so, else a
frame. What then is not as in SMPL's T-pose (hanging arms, spread legs) is turned there by the shortest
rotation of each limb. The twist of such a limb about its own axis stays unknown.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.joints import SMPL24, SMPL_PARENTS
from spinloop.motion.clips import Clip, Recording, world_rotations
from spinloop.motion.skeleton import Skeleton, find_skeleton
from spinloop.progress import say

# Directions of the bones of SMPL's T-pose (left side; the right mirrors x), in its axes: y up, +z ahead.
_T_POSE = {
    "hip": (0.06, -1.0, 0.0), "knee": (0.06, -1.0, 0.0), "ankle": (0.1, -0.45, 1.0),
    "shoulder": (1.0, 0.0, 0.0), "elbow": (1.0, 0.0, 0.0),
}  # fmt: skip
_CHILD = {"hip": "knee", "knee": "ankle", "ankle": "foot", "shoulder": "elbow", "elbow": "wrist"}
_SIDES = (("left", 1.0), ("right", -1.0))
# Largest angle of any joint of a first frame that is taken for the T-pose.
_T_POSE_WITHIN_RAD = 0.35
# Largest angle between a limb of a frame and the T-pose's, and between legs of a standing person and down.
_T_FRAME_WITHIN_RAD = 0.35
_STANDS_WITHIN_RAD = 0.8
# Arms of a zero pose may hang, or point ahead or upwards, but not to the other side.
_NO_ARMS_BEYOND_RAD = 1.9
# Legs that are drawn straight down, within this angle, stand in their program's T-pose: they are not turned.
_DRAWN_WITHIN_RAD = 0.02
# Slope of a foot's bone that is drawn along the sole.
_FLAT_WITHIN = 0.1
_N_SPINE = 3


class Bind(NamedTuple):
    """The bind pose."""

    frame: int | None
    """None for the zero pose of the file."""
    stands: bool
    """Whether its bones point as those of a standing person; else their directions mean nothing."""


def to_clip(
    recording: Recording,
    name: str,
    where: str,
    named: Mapping[str, str] | None = None,
    bind_frame: int | None = None,
) -> Clip:
    """The recording as SMPL poses, y up and facing +z in the zero pose.

    Joints that the skeleton lacks are zero. The turn of all spine bones is spread over SMPL's three. A first
    frame in the T-pose is dropped: programs add it to mark the zero pose.

    Args:
        recording: bones in any of the usual namings (see `skeleton`).
        name: of the clip.
        where: the file, for messages.
        named: SMPL joint → bone, for bones with other names.
        bind_frame: index of the frame that shows the T-pose; None finds the bind pose.

    Raises:
        UserError: a bone is not found, there is no such frame, or left and right are the wrong way round.
    """
    skeleton = find_skeleton(recording, where, named)
    figure = _Figure(recording, skeleton)
    bind = _find_bind(figure, where, bind_frame)
    axes, to_smpl = figure.axes(bind)
    _check_sides(figure, bind, axes, where)
    corrections = _corrections(figure, bind, axes)

    def rotations(bone: int) -> Float[np.ndarray, "F 3 3"]:
        own = figure.world[:, bone]
        undone = own if bind.frame is None else own @ own[bind.frame].T
        return to_smpl @ undone @ axes

    rotated: dict[str, np.ndarray] = {
        joint: rotations(bone) @ corrections.get(joint, np.eye(3)) for joint, bone in skeleton.bones.items()
    }
    rotated |= _spread_spine(rotated["pelvis"], [rotations(bone) for bone in skeleton.spine])
    poses = np.zeros((len(figure.world), len(SMPL24), 3))
    worlds: list[np.ndarray] = []
    for joint, parent in enumerate(SMPL_PARENTS):
        world = rotated.get(SMPL24[joint])
        worlds.append(worlds[parent] if world is None else world)
        if world is not None:
            local = world if parent < 0 else worlds[parent].transpose(0, 2, 1) @ world
            poses[:, joint] = Rotation.from_matrix(local).as_rotvec()
    first = int(len(poses) > 1 and np.linalg.norm(poses[0, 1:], axis=1).max() < _T_POSE_WITHIN_RAD)
    return Clip(name, recording.fps, poses[first:].reshape(-1, 72))


class _Figure:
    """World rotations of a recording, and where its limbs point, in frames or in the zero pose."""

    def __init__(self, recording: Recording, skeleton: Skeleton) -> None:
        self.recording, self.skeleton = recording, skeleton
        self.world = world_rotations(recording.rotations, recording.parents)
        self._starts = np.zeros(self.world.shape[:3])
        for bone, parent in enumerate(recording.parents):
            if parent >= 0:
                offset = recording.rest[bone] - recording.rest[parent]
                self._starts[:, bone] = self._starts[:, parent] + self.world[:, parent] @ offset

    def starts(self, frame: int | slice | None) -> Float[np.ndarray, "*F J 3"]:
        """Where the bones start: in a frame, in the zero pose (None), or in several frames."""
        return self.recording.rest if frame is None else self._starts[frame]

    def limb(self, joint: str, frame: int | slice | None) -> Float[np.ndarray, "*F 3"]:
        """Unit vector along the limb below a joint; zero if the skeleton has nothing below it."""
        side, _, part = joint.partition("_")
        bone, end = self.skeleton.bones[joint], self.skeleton.bones.get(f"{side}_{_CHILD[part]}")
        if end is not None:
            starts = self.starts(frame)
            return _unit(starts[..., end, :] - starts[..., bone, :])
        vector = self.recording.tips[bone] - self.recording.rest[bone]
        return _unit(vector if frame is None else self.world[frame, bone] @ vector)

    def trunk(self, frame: int | slice | None) -> tuple[np.ndarray, np.ndarray]:
        """From the right to the left hip, and from the hips' middle to the shoulders'; not unit vectors."""
        starts, bones = self.starts(frame), self.skeleton.bones
        hips, shoulders = (
            [starts[..., bones[f"{side}_{part}"], :] for side, _ in _SIDES] for part in ("hip", "shoulder")
        )
        return hips[0] - hips[1], (shoulders[0] + shoulders[1] - hips[0] - hips[1]) / 2

    def frames_of(self, frame: int | slice | None) -> Float[np.ndarray, "*F 3 3"]:
        """Columns: the person's left, up and ahead."""
        left, up = self.trunk(frame)
        up = _unit(up)
        left = _unit(left - (left * up).sum(-1, keepdims=True) * up)
        return np.stack([left, up, np.cross(left, up)], axis=-1)

    def deviation(self, parts: tuple[str, ...], frame: int | slice | None) -> Float[np.ndarray, "..."]:
        """Largest angle between limbs and those of the T-pose, radians; π where the trunk has no axes."""
        axes, angles = self.frames_of(frame), []
        for side, sign in _SIDES:
            for part in parts:
                wanted = axes @ _unit(np.array(_T_POSE[part]) * [sign, 1, 1])
                angles.append(
                    np.arccos(np.clip((wanted * self.limb(f"{side}_{part}", frame)).sum(-1), -1, 1))
                )
        has_axes = np.abs(np.linalg.norm(axes, axis=-2) - 1).max(-1) < 1e-6
        return np.where(has_axes, np.max(angles, axis=0), np.pi)

    def axes(self, bind: Bind) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"]]:
        """Directions left, up and ahead of the bind pose as columns, and the turn of the world to y up."""
        if not bind.stands:
            return np.eye(3), np.eye(3)
        left, up = self.trunk(bind.frame)
        if bind.frame is None:
            snapped = _frame(_nearest_axis(left), _nearest_axis(up))
            return snapped, snapped.T
        upright = _nearest_axis(np.median(_unit(self.trunk(slice(None))[1]), axis=0))
        to_smpl = _shortest_rotation(upright, np.array([0.0, 1.0, 0.0]))
        return _frame(left - (left @ upright) * upright, upright), to_smpl


def _find_bind(figure: _Figure, where: str, wanted: int | None) -> Bind:
    """The frame that the user names, else a T-pose (zero pose or frame), else a pose of somebody standing."""
    n_frames = len(figure.world)
    if wanted is not None and not 0 <= wanted < n_frames:
        raise UserError(f"{where}: --bind-frame {wanted}: the recording has the frames 0 to {n_frames - 1}")
    arms, legs = (
        [figure.deviation(parts, frames) for frames in (slice(None), None)]
        for parts in (("shoulder", "elbow"), ("hip", "knee"))
    )
    if wanted is not None:
        return Bind(wanted, bool(legs[0][wanted] < _STANDS_WITHIN_RAD))
    zero_stands = legs[1] < _STANDS_WITHIN_RAD and arms[1] < _NO_ARMS_BEYOND_RAD
    is_t_pose = np.maximum(arms[0], legs[0]) < _T_FRAME_WITHIN_RAD
    # Programs put the T-pose at the beginning or the end; in between somebody may stretch the arms.
    marked = next((frame for frame in (0, n_frames - 1) if is_t_pose[frame]), None)
    if zero_stands and (marked is None or (arms[1] < _T_FRAME_WITHIN_RAD and _same_up(figure, marked))):
        return Bind(None, True)
    if marked is not None:
        return Bind(marked, True)
    if is_t_pose.any():
        return Bind(int(np.maximum(arms[0], legs[0]).argmin()), True)
    nearest = int(legs[0].argmin())
    if legs[0][nearest] < _STANDS_WITHIN_RAD:
        say(f"{where}: no T-pose; frame {nearest}, where the legs are straightest, is the bind pose; "
            "--bind-frame names another")  # fmt: skip
        return Bind(nearest, True)
    say(f"{where}: nobody stands in it; frame 0 is taken for a T-pose; --bind-frame names another")
    return Bind(0, False)


def _same_up(figure: _Figure, frame: int) -> bool:
    """Whether up is the same axis in a frame and in the zero pose; some programs turn one of them."""
    one, other = (_nearest_axis(figure.trunk(which)[1]) for which in (frame, None))
    return bool((one == other).all())


def _check_sides(figure: _Figure, bind: Bind, axes: Float[np.ndarray, "3 3"], where: str) -> None:
    """Refuse a skeleton whose feet point backwards, since its left and right are then the wrong way round."""
    if bind.stands:
        ahead = [float(figure.limb(f"{side}_ankle", bind.frame) @ axes[:, 2]) for side, _ in _SIDES]
        if max(ahead) < -0.5:
            raise UserError(
                f"{where}: the feet point backwards, so left and right of its bones are the wrong way round; "
                "name the bones in a file (`--bones`)"
            )


def _corrections(
    figure: _Figure, bind: Bind, axes: Float[np.ndarray, "3 3"]
) -> dict[str, Float[np.ndarray, "3 3"]]:
    """The shortest rotation of each limb from SMPL's T-pose to the bind pose, in SMPL's axes."""
    if not bind.stands:
        return {}
    limbs = {
        f"{side}_{part}": axes.T @ figure.limb(f"{side}_{part}", bind.frame)
        for side, _ in _SIDES
        for part in _CHILD
    }
    legs = [limbs[f"{side}_{part}"] for side, _ in _SIDES for part in ("hip", "knee")]
    is_drawn = all(np.arccos(np.clip(-leg[1], -1, 1)) < _DRAWN_WITHIN_RAD for leg in legs)
    found = {}
    for side, sign in _SIDES:
        for part in _CHILD:
            target = limbs[f"{side}_{part}"]
            if (is_drawn and part in ("hip", "knee", "ankle")) or not target.any():
                continue
            source = _unit(np.array(_T_POSE[part]) * [sign, 1, 1])
            if part == "ankle" and abs(target[1]) < _FLAT_WITHIN:
                continue  # the bone lies on the sole, not between ankle and toes
            found[f"{side}_{part}"] = _shortest_rotation(source, target)
        if f"{side}_elbow" in found:
            found[f"{side}_wrist"] = found[f"{side}_elbow"]  # the hand is in line with the forearm
    return found


def _spread_spine(
    pelvis: Float[np.ndarray, "F 3 3"], spine: list[Float[np.ndarray, "F 3 3"]]
) -> dict[str, Float[np.ndarray, "F 3 3"]]:
    """World rotations of SMPL's spine joints: the turn of the bones, spread evenly over the three.

    With two bones the middle joint is left out, so that the prior takes it for unrecorded.
    """
    if not spine:
        return {}
    if len(spine) == 2:
        return {"spine1": spine[0], "spine3": spine[1]}
    bones = [pelvis, *spine]
    found = {}
    for number in range(1, _N_SPINE + 1):
        whole, thirds = divmod(number * len(spine), _N_SPINE)
        world = bones[whole]
        if thirds:
            turn = Rotation.from_matrix(world.transpose(0, 2, 1) @ bones[whole + 1]).as_rotvec()
            world = world @ Rotation.from_rotvec(turn * thirds / _N_SPINE).as_matrix()
        found[f"spine{number}"] = world
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors, dtype=float), where=length > 1e-9)


def _frame(left: Float[np.ndarray, " 3"], up: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    left, up = _unit(left), _unit(up)
    return np.stack([left, up, np.cross(left, up)], axis=1)


def _nearest_axis(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    axis = np.zeros(3)
    longest = int(np.abs(vector).argmax())
    axis[longest] = np.sign(vector[longest])
    return axis


def _shortest_rotation(
    source: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "3 3"]:
    axis, cosine = np.cross(source, target), float(source @ target)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        # Half a turn about any axis across.
        across = _unit(np.cross(source, np.eye(3)[int(np.abs(source).argmin())]))
        return Rotation.from_rotvec(np.pi * across).as_matrix()
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
