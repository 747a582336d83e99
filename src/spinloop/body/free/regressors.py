"""Joint regressors: rows of non-negative weights that sum to one, so that joint = row · vertices."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import nnls

# A joint is regressed from the nearest vertices in each of so many directions around it, so that they
# surround it.
_DIRECTIONS = 96
# Weight of the sum-to-one equation, metres.
_SUM_WEIGHT = 100.0


class Reach(NamedTuple):
    """Which vertices take part in a joint."""

    per_direction: int
    """The nearest so many in each direction around it."""
    spread: float
    """How much the weights are spread over them, metres: the ridge of the least squares."""


# For bodies at rest, where vertices farther away may help.
AT_REST = Reach(20, 0.003)
# For posed bodies: a broad ring close about the joint moves as the joint does.
POSED = Reach(2, 0.02)


def fit_row(
    vertices: Float[ndarray, "N V 3"], points: Float[ndarray, "N 3"], mirror: Int[ndarray, " V"], reach: Reach
) -> Float[ndarray, " V"]:
    """Regress one joint from the vertices around it by non-negative least squares.

    Args:
        vertices: bodies, metres.
        points: the joint in each body, metres.
        mirror: the vertex on the other side; a joint on the midline gets a symmetric row.
        reach: which vertices take part.

    Returns:
        Weights, zero away from the joint.
    """
    near = _surrounding(vertices.mean(axis=0) - points.mean(axis=0), reach.per_direction)
    is_central = np.abs(points[:, 0]).max() < 1e-9
    if is_central:
        near = np.union1d(near, mirror[near])
    relative = vertices[:, near] - points[:, None]
    system = np.concatenate(
        [
            np.swapaxes(relative, 1, 2).reshape(-1, len(near)) / np.sqrt(len(points)),
            reach.spread * np.eye(len(near)),
            np.full((1, len(near)), _SUM_WEIGHT),
        ]
    )
    target = np.zeros(len(system))
    target[-1] = _SUM_WEIGHT
    row = np.zeros(vertices.shape[1])
    row[near] = nnls(system, target)[0]
    if is_central:
        row = (row + row[mirror]) / 2
    row[row < 1e-5] = 0.0
    return row / row.sum()


def _surrounding(offsets: Float[ndarray, "V 3"], per_direction: int) -> Int[ndarray, " K"]:
    """The nearest vertices in each direction around the origin, ascending."""
    distance = np.linalg.norm(offsets, axis=1)
    step = np.arange(_DIRECTIONS) + 0.5
    height, turn = 1 - 2 * step / _DIRECTIONS, np.pi * (1 + np.sqrt(5)) * step
    ring = np.sqrt(1 - height**2)
    directions = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)
    sector = (offsets @ directions.T).argmax(axis=1)
    chosen = [
        members[np.argsort(distance[members], kind="stable")[:per_direction]]
        for members in (np.flatnonzero(sector == index) for index in range(_DIRECTIONS))
    ]
    return np.sort(np.concatenate(chosen))


def fit_rows(
    vertices: Float[ndarray, "N V 3"],
    points: dict[str, Float[ndarray, "N 3"]],
    mirror: Int[ndarray, " V"],
    reach: Reach,
) -> Float[ndarray, "J V"]:
    """One row per joint, in the order of `points`; a right joint's row mirrors the left one's."""
    rows: dict[str, Float[ndarray, " V"]] = {}
    for name in points:
        if "right_" not in name:
            rows[name] = fit_row(vertices, points[name], mirror, reach)
    for name in points:
        if "right_" in name:
            rows[name] = rows[name.replace("right_", "left_")][mirror]
    return np.stack([rows[name] for name in points])
