"""Things that stand between the camera and the people: crates, tables, posts, walls."""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from spinloop.mirror.camera import Camera
from spinloop.mirror.textures import Texture, random_texture

# Each side of the unit cube as two triangles; corner i has the bits of i as its x, y, z.
_CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))
_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
BOX_FACES: Int[np.ndarray, "12 3"] = np.array([t for a, b, c, d in _SIDES for t in ((a, b, c), (a, c, d))])


class Box(NamedTuple):
    """A cuboid."""

    vertices: Float[np.ndarray, "8 3"]
    """World axes, metres."""
    local: Float[np.ndarray, "8 3"]
    """The same corners in the box's own axes: what its texture is a function of."""
    texture: Texture


def sample_box(
    rng: np.random.Generator, camera: Camera, target: Float[np.ndarray, " 3"], coverage: tuple[float, float]
) -> Box:
    """A box that hides a part of somebody.

    Args:
        rng: generator.
        camera: from where it shall hide.
        target: the middle of the person, world axes.
        coverage: bounds of the box's width and height, metres, at the person's distance.
    """
    share = rng.uniform(0.55, 0.85)
    size = rng.uniform(*coverage, 3) * share
    size[2] = rng.uniform(0.05, 0.5)
    if rng.random() < 0.3:
        size[:2] = size[:2].max() * rng.permutation([0.25, 2.0])
    right = camera.rotation[0]
    middle = camera.position + share * (target - camera.position)
    middle = middle + right * rng.normal(0.0, 0.35) * share
    # Furniture stands on the floor; some things hang into the picture.
    middle[1] = size[1] / 2 + rng.choice([0.0, rng.uniform(0.0, 1.2)], p=[0.7, 0.3])
    angle = rng.normal(0.0, 0.5)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    local = _CORNERS * size
    return Box(local @ turn.T + middle, local, random_texture(rng, 3, (0.08, 0.4)))
