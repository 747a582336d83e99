"""What the mirrors share: who sees whom, what is around, and what a picture shows of a person."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import COMMON24, N_OPENPOSE, JointSet, index_map
from spinloop.mirror.annotator import OPENPOSE_FROM_MODEL49
from spinloop.mirror.background import Background, sample_background
from spinloop.mirror.camera import Camera
from spinloop.mirror.detector import Seen
from spinloop.mirror.occluders import Box, sample_box
from spinloop.mirror.people import Person, Stance, before_camera
from spinloop.mirror.scene import FINENESS, Lens, Picture, Scene, sample_lens, sample_light
from spinloop.mirror.visibility import JOINT_DEPTH_M, visible
from spinloop.params.mirror import PictureParams
from spinloop.rendering.shading import Light


class Setting(NamedTuple):
    """A place and a camera's optics: everything but people and the camera's pose."""

    things: tuple[Box, ...]
    background: Background
    light: Light
    """Direction in world axes."""
    tint: Float[np.ndarray, " 3"]
    lens: Lens

    def scene(self, camera: Camera, stances: Sequence[Stance]) -> Scene:
        """The place with people, seen by a camera."""
        light = self.light._replace(direction=camera.rotation @ self.light.direction)
        people = tuple(before_camera(stance, camera) for stance in stances)
        return Scene(camera, people, self.things, self.background, light, self.tint, self.lens)


class Marks(NamedTuple):
    """The true joints of a person on a picture."""

    pixels: Float[np.ndarray, "49 2"]
    is_visible: Bool[np.ndarray, " 49"]

    @property
    def openpose(self) -> Seen:
        """What a BODY_25 detector would look for."""
        order = list(OPENPOSE_FROM_MODEL49)
        return Seen(self.pixels[order], self.is_visible[order])

    def shown(self, names: JointSet) -> Bool[np.ndarray, " J"]:
        """Which of the joints of that name (of `joints.COMMON24`) the picture shows."""
        return self.is_visible[N_OPENPOSE:][list(index_map(COMMON24, names))]


def sample_setting(
    rng: np.random.Generator, params: PictureParams, camera: Camera, middle: Float[np.ndarray, " 3"]
) -> Setting:
    """A place; with the chance that `params` names, a thing (or two) between the camera and `middle`."""
    n_things = int(rng.random() < params.occluder) + int(rng.random() < params.occluder / 2)
    bounds = params.occluder_m.bounds
    things = tuple(sample_box(rng, camera, middle, bounds) for _ in range(n_things))
    light, tint = sample_light(rng)
    return Setting(things, sample_background(rng), light, tint, sample_lens(rng, params))


def middle_of(stance: Stance) -> Float[np.ndarray, " 3"]:
    """Middle of the person's bounding box, world axes."""
    return (stance.vertices.min(0) + stance.vertices.max(0)) / 2


def look_for_joints(person: Person, camera: Camera, picture: Picture) -> Marks:
    """Projections of the 49 joints, and which of them the picture shows."""
    pixels = camera.project(person.joints49)
    shown = visible(pixels * FINENESS, person.joints49[:, 2], JOINT_DEPTH_M, picture.depth)
    return Marks(pixels, shown)
