"""Somebody who moves: from pose to pose of the mixture, walking where the body faces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

from spinloop.mirror.people import sample_root
from spinloop.params.mirror import PeopleParams

_STEP_M = 0.12
_TURN_RAD = 0.35


class Frame(NamedTuple):
    """Where somebody is at one moment."""

    root: Rotation
    """Turns the body into world axes."""
    body: Float[np.ndarray, " 69"]
    place: Float[np.ndarray, " 2"]
    """x, z of the world, metres."""


def sample_motion(
    rng: np.random.Generator,
    poses: Float[np.ndarray, "K 69"],
    n_frames: int,
    start: Float[np.ndarray, " 2"],
    params: PeopleParams,
) -> list[Frame]:
    """Frames that lead evenly through the poses, the shortest way for every joint.

    Args:
        rng: generator.
        poses: at least two; the first and the last frame have the first and the last of them.
        n_frames: frames in all.
        start: x, z of the world where the first frame stands.
        params: how people stand.
    """
    keys = np.linspace(0.0, 1.0, len(poses))
    moments = np.linspace(0.0, 1.0, n_frames)
    joints = [
        Slerp(keys, Rotation.from_rotvec(poses[:, 3 * joint : 3 * joint + 3]))(moments).as_rotvec()
        for joint in range(poses.shape[1] // 3)
    ]
    bodies = np.stack(joints, axis=1).reshape(n_frames, -1)
    roots = _turning(rng, sample_root(rng, params), keys, moments)
    return [
        Frame(root, body, place)
        for root, body, place in zip(roots, bodies, _walk(rng, roots, start), strict=True)
    ]


def _turning(
    rng: np.random.Generator,
    first: Rotation,
    keys: Float[np.ndarray, " K"],
    moments: Float[np.ndarray, " F"],
) -> list[Rotation]:
    """Orientations that wander about the vertical."""
    yaws = np.concatenate([[0.0], rng.normal(0, _TURN_RAD, len(keys) - 1)]).cumsum()
    about_y = np.stack([np.zeros(len(keys)), yaws, np.zeros(len(keys))], axis=1)
    return list(Slerp(keys, Rotation.from_rotvec(about_y) * first)(moments))


def _walk(
    rng: np.random.Generator, roots: Sequence[Rotation], start: Float[np.ndarray, " 2"]
) -> list[Float[np.ndarray, " 2"]]:
    """Steps of one length in the directions that the body faces."""
    step = rng.uniform(0.0, _STEP_M)
    ahead = np.array([root.apply([0.0, 0.0, step])[::2] for root in roots])
    return list(start + np.concatenate([np.zeros((1, 2)), ahead[:-1].cumsum(0)]))
