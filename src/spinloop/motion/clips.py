"""Recorded clips as SMPL poses, and the mixed bag of frames that a distribution is learnt from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import SMPL24, SMPL24_MIRROR


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
    order = np.array(SMPL24_MIRROR[1:]) - 1
    turned = frames.poses.reshape(-1, 23, 3)[:, order] * [1.0, -1.0, -1.0]
    return Frames(
        np.concatenate([frames.poses, turned.reshape(-1, 69)]),
        np.concatenate([frames.is_recorded, frames.is_recorded[:, order]]),
    )
