"""One picture: people, things and a background before a camera, drawn as a photograph.

What the mirrors share: who sees whom, what is around, and what a picture shows of a person.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from spinloop.joints import COMMON24, N_OPENPOSE, JointSet, index_map
from spinloop.keypoints.simulated import JOINT_DEPTH_M, OPENPOSE_FROM_MODEL49, Seen, visible
from spinloop.mirror.background import (
    BOX_FACES,
    Background,
    Box,
    paint_background,
    sample_background,
    sample_box,
)
from spinloop.mirror.camera import Camera
from spinloop.mirror.people import Cast, Person, Stance, before_camera
from spinloop.mirror.textures import paint_body
from spinloop.params.mirror import PictureParams
from spinloop.rendering.masks import part_labels
from spinloop.rendering.raycast import render
from spinloop.rendering.shading import Light, downsample, interpolate, lambert, vertex_normals

# Rays per pixel along each axis.
FINENESS = 2
NOBODY, THING = -1, -2


class Scene(NamedTuple):
    """What stands before the camera."""

    camera: Camera
    people: tuple[Person, ...]
    things: tuple[Box, ...]
    background: Background
    light: Light
    """Direction in camera axes."""
    tint: Float[np.ndarray, " 3"]
    """Color of the light, about 1."""
    lens: "Lens"


class Lens(NamedTuple):
    """What lens and sensor do to a picture."""

    blur_px: float
    """Standard deviation."""
    exposure: float
    """Factor on the brightness."""
    gamma: float
    """Exponent on the brightness."""
    noise: float
    """Standard deviation of each channel, in [0, 1] of full brightness."""


class Picture(NamedTuple):
    """A drawn scene."""

    image: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    owner: Int32[np.ndarray, "H W"]
    """Which of the people a pixel shows; −1 background, −2 a thing."""
    depth: Float32[np.ndarray, "h w"]
    """Metres of the nearest surface, `FINENESS` times finer than the picture."""


class _Mesh(NamedTuple):
    """All surfaces of a scene as one mesh."""

    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    rest: Float[np.ndarray, "V 3"]
    """Where the pattern of a vertex's texture is looked up."""
    faces: Int32[np.ndarray, "F 3"]
    owner: Int32[np.ndarray, " F"]
    """Index of the person, or −2 − index of the thing."""
    part: UInt8[np.ndarray, " F"]


def sample_light(rng: np.random.Generator) -> tuple[Light, Float[np.ndarray, " 3"]]:
    """A lamp or the sun, above and in front of the scene or beside it, and its color; world axes."""
    azimuth, elevation = rng.normal(0, 1.0), rng.uniform(0.4, 1.3)
    flat = np.cos(elevation)
    direction = np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])
    warmth = rng.normal(0, 0.06)
    return Light(direction, rng.uniform(0.3, 0.65)), rng.uniform(0.8, 1.15) * np.array(
        [1 + warmth, 1, 1 - warmth]
    )


def sample_lens(rng: np.random.Generator, params: PictureParams) -> Lens:
    """A lens and a sensor as they come."""
    blur, noise = rng.uniform(*params.blur_px.bounds), rng.uniform(*params.noise.bounds)
    return Lens(blur, rng.uniform(0.75, 1.25), rng.uniform(0.75, 1.2), noise)


def draw(scene: Scene, cast: Cast, rng: np.random.Generator) -> Picture:
    """Draw a scene; the generator makes the sensor's noise."""
    camera = scene.camera
    mesh = _join(scene, cast)
    fine = (camera.size[0] * FINENESS, camera.size[1] * FINENESS)
    buffers = render(
        mesh.vertices,
        mesh.faces,
        camera.focal_px * FINENESS,
        camera.center_px * FINENESS,
        fine,
        is_closed=True,
    )
    seen = buffers.mask
    faces, barycentric = buffers.face_index[seen], buffers.barycentric[seen]
    colors = _paint(scene, cast, mesh, faces, barycentric)
    canvas = np.zeros((*fine, 4))
    canvas[seen] = np.concatenate([colors, np.ones((len(colors), 1))], axis=1)
    front = downsample(canvas, FINENESS)
    behind = paint_background(scene.background, camera, _shadow(scene)) * scene.tint
    image = front[..., :3] + (1 - front[..., 3:]) * behind
    owner = np.full(fine, NOBODY, dtype=np.int32)
    owner[seen] = np.maximum(mesh.owner[faces], THING)
    return Picture(_expose(image, scene.lens, rng), owner[1::FINENESS, 1::FINENESS], buffers.depth)


def label(scene: Scene, cast: Cast, number: int) -> UInt8[np.ndarray, "H W"]:
    """Parts of one of the people, 1–6, as the middle of every pixel shows them; 0 elsewhere.

    What stands in front hides them: things, other people, other parts.
    """
    camera, mesh = scene.camera, _join(scene, cast)
    view = camera.focal_px, camera.center_px, camera.size
    seen = render(mesh.vertices, mesh.faces, *view, is_closed=True)
    return part_labels(seen, np.where(mesh.owner == number, mesh.part, 0).astype(np.uint8))


def _join(scene: Scene, cast: Cast) -> _Mesh:
    """People first, then things; a thing's part label is 0."""
    parts: list[_Mesh] = []
    for index, person in enumerate(scene.people):
        body = cast.files[person.character.gender]
        normals = vertex_normals(person.vertices, body.f)
        owner = np.full(len(body.f), index, dtype=np.int32)
        rest = body.v_template.astype(np.float64)
        parts.append(_Mesh(person.vertices, normals, rest, body.f, owner, body.part_labels))
    for index, box in enumerate(scene.things):
        # Corners are not shared between sides, so that each side keeps its own flat normal.
        corners = scene.camera.to_camera(box.vertices)[BOX_FACES].reshape(-1, 3)
        faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
        owner = np.full(len(faces), THING - index, dtype=np.int32)
        local = box.local[BOX_FACES].reshape(-1, 3)
        no_part = np.zeros(len(faces), dtype=np.uint8)
        parts.append(_Mesh(corners, vertex_normals(corners, faces), local, faces, owner, no_part))
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    shifted = [
        part._replace(faces=part.faces + np.int32(start)) for part, start in zip(parts, offsets, strict=False)
    ]
    return _Mesh(*(np.concatenate(arrays) for arrays in zip(*shifted, strict=True)))


def _paint(
    scene: Scene,
    cast: Cast,
    mesh: _Mesh,
    faces: Int32[np.ndarray, " N"],
    barycentric: Float32[np.ndarray, "N 3"],
) -> Float[np.ndarray, "N 3"]:
    """Lit colors of the points that the rays meet."""
    corners = mesh.faces[faces]
    attributes = np.concatenate([mesh.rest, mesh.normals, mesh.vertices], axis=1)
    rest, normals, points = np.split(interpolate(attributes, corners, barycentric), 3, axis=1)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    colors = np.empty((len(faces), 3))
    owner = mesh.owner[faces]
    for index, person in enumerate(scene.people):
        mine = owner == index
        measures = cast.measures[person.character.gender]
        colors[mine] = paint_body(person.character.outfit, measures, rest[mine], mesh.part[faces[mine]])
    for index, box in enumerate(scene.things):
        mine = owner == THING - index
        colors[mine] = box.texture(rest[mine])
    return colors * lambert(normals, points, scene.light)[:, None] * scene.tint


def _shadow(scene: Scene) -> Float[np.ndarray, "H W"]:
    """Share of light that reaches the floor at each pixel: soft shadows of the people."""
    camera = scene.camera
    to_lamp = camera.rotation.T @ scene.light.direction
    mask = np.zeros(camera.size, dtype=np.float32)
    for person in scene.people:
        world = (person.vertices - camera.translation) @ camera.rotation
        fallen = camera.to_camera(world - world[:, 1:2] / to_lamp[1] * to_lamp)
        pixels = camera.project(fallen[fallen[:, 2] > 0.2])
        inside = ((pixels >= 0) & (pixels < [camera.size[1], camera.size[0]])).all(1)
        column, row = pixels[inside].astype(np.int64).T
        mask[row, column] = 1.0
    return 1 - (1 - scene.light.ambient) * cv2.GaussianBlur(mask, (0, 0), 1.5).clip(0, 1)


def _expose(
    image: Float[np.ndarray, "H W 3"], lens: Lens, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    if lens.blur_px > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), lens.blur_px)
    image = np.clip(image * lens.exposure, 0, 1) ** lens.gamma
    image = image + lens.noise * rng.standard_normal(image.shape)
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


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
