"""Shapes whose pictures are known in closed form."""

from collections.abc import Callable

import numpy as np
import pytest
import trimesh

Mesh = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def sphere() -> Callable[..., Mesh]:
    """Vertices and faces of a fine sphere."""

    def make(center: tuple[float, float, float], radius: float, subdivisions: int = 5) -> Mesh:
        ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
        return np.asarray(ball.vertices) + center, np.asarray(ball.faces)

    return make
