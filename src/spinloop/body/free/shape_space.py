"""What varies in a population: mean and principal directions in units of a standard deviation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment


class ShapeSpace(NamedTuple):
    """body(β) = mean + Σ β_k · directions[..., k], β_k of unit variance in the population."""

    mean: Float[ndarray, "V 3"]
    directions: Float[ndarray, "V 3 K"]
    """Metres per standard deviation."""
    variance_share: Float[ndarray, " K"]
    """Share of the population's whole variance that each direction explains."""


def principal_shapes(
    vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"], n_directions: int
) -> ShapeSpace:
    """Principal components, largest first.

    The sign is a rule, so that two builds agree: the first direction makes the body taller, every other one
    makes it larger in volume.
    """
    mean = vertices.mean(axis=0)
    centered = (vertices - mean).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(centered @ centered.T / (len(vertices) - 1))
    order = np.argsort(values)[::-1][:n_directions]
    # Unit eigenvector u of the Gram matrix with value λ: direction × its deviation = Xᵀu / √(N−1).
    scaled = (centered.T @ vectors[:, order]) / np.sqrt(len(vertices) - 1)
    directions = scaled.reshape(*mean.shape, n_directions)
    return ShapeSpace(mean, directions * _signs(mean, directions, faces), values[order] / values.sum())


def like(space: ShapeSpace, model: ShapeSpace) -> ShapeSpace:
    """Reorder and sign the directions so that each resembles the same-numbered one of `model`."""
    mine = space.directions.reshape(-1, space.directions.shape[-1])
    theirs = model.directions.reshape(-1, model.directions.shape[-1])
    cosine = (mine / np.linalg.norm(mine, axis=0)).T @ (theirs / np.linalg.norm(theirs, axis=0))
    rows, columns = linear_sum_assignment(-np.abs(cosine))
    order = rows[np.argsort(columns)]
    signs = np.sign(cosine[order, np.arange(len(order))])
    return ShapeSpace(space.mean, space.directions[..., order] * signs, space.variance_share[order])


def volume(vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, " N"]:
    """Volume of closed meshes, cubic metres."""
    first, second, third = (vertices[:, faces[:, corner]] for corner in range(3))
    return (np.cross(first, second) * third).sum(axis=(1, 2)) / 6


def _signs(
    mean: Float[ndarray, "V 3"], directions: Float[ndarray, "V 3 K"], faces: Int[ndarray, "F 3"]
) -> Float[ndarray, " K"]:
    moved = np.moveaxis(directions, -1, 0)
    gain = volume(mean + moved, faces) - volume(mean - moved, faces)
    gain[0] = moved[0, mean[:, 1].argmax(), 1] - moved[0, mean[:, 1].argmin(), 1]
    return np.where(gain < 0, -1.0, 1.0)
