"""One picture: people, occluders and a background before a camera, rendered as a photograph."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from spinloop.joints import COMMON24, MODEL49, N_OPENPOSE, JointSet, index_map
from spinloop.keypoints.noise import TrueJoints, inside_image
from spinloop.mirror.background import (
    CUBE_FACES,
    Background,
    Occluder,
    paint_background,
    sample_background,
    sample_occluder,
)
from spinloop.mirror.camera import Camera
from spinloop.mirror.people import BodySet, CameraPerson, WorldPerson, to_camera_axes
from spinloop.mirror.textures import paint_body
from spinloop.params.mirror import PictureParams
from spinloop.rendering.masks import part_labels
from spinloop.rendering.pictures import Light, downsample, interpolate, lambert, vertex_normals
from spinloop.rendering.raycast import render
from spinloop.tables.images import encode_jpeg

# Rays per pixel along each axis.
SUPERSAMPLING = 2
BACKGROUND, OCCLUDER = -1, -2
# How deep under the surface a joint lies on the camera's side, metres: nearer surfaces hide it.
_DEPTH_M = {
    "nose": 0.04, "eye": 0.04, "ear": 0.05, "wrist": 0.05, "elbow": 0.07, "shoulder": 0.12, "hip": 0.17,
    "knee": 0.09, "ankle": 0.07, "toe": 0.05, "heel": 0.06, "neck": 0.12, "head": 0.14, "jaw": 0.12,
    "thorax": 0.15, "spine": 0.17, "pelvis": 0.2,
}  # fmt: skip
_JOINT_DEPTH_M = np.array(
    [next(depth for word, depth in _DEPTH_M.items() if word in name) for name in MODEL49]
)


class Sensor(NamedTuple):
    """Blur of the lens and response of the sensor."""

    blur_px: float
    """Standard deviation."""
    exposure: float
    """Factor on the brightness."""
    gamma: float
    """Exponent on the brightness."""
    noise: float
    """Standard deviation of each channel, in [0, 1] of full brightness."""


class Scene(NamedTuple):
    """Everything that one picture shows."""

    camera: Camera
    people: tuple[CameraPerson, ...]
    occluders: tuple[Occluder, ...]
    background: Background
    light: Light
    """Direction in camera axes."""
    tint: Float[np.ndarray, " 3"]
    """Color of the light, about 1."""
    sensor: Sensor


class Environment(NamedTuple):
    """A place and a sensor: everything but people and the camera's pose."""

    occluders: tuple[Occluder, ...]
    background: Background
    light: Light
    """Direction in world axes."""
    tint: Float[np.ndarray, " 3"]
    sensor: Sensor

    def scene(self, camera: Camera, people: Sequence[WorldPerson]) -> Scene:
        """The place with people, seen by a camera."""
        light = self.light._replace(direction=camera.rotation @ self.light.direction)
        seen = tuple(to_camera_axes(person, camera) for person in people)
        return Scene(camera, seen, self.occluders, self.background, light, self.tint, self.sensor)


class Picture(NamedTuple):
    """A rendered scene."""

    image: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    owner: Int32[np.ndarray, "H W"]
    """Index of the person that a pixel shows; −1 background, −2 an occluder."""
    depth: Float32[np.ndarray, "h w"]
    """Metres of the nearest surface, `SUPERSAMPLING` times finer than the picture."""


class ProjectedJoints(NamedTuple):
    """The true joints of a person on a picture."""

    pixels: Float[np.ndarray, "49 2"]
    is_visible: Bool[np.ndarray, " 49"]

    @property
    def openpose(self) -> TrueJoints:
        """The BODY_25 joints."""
        return TrueJoints(self.pixels[:N_OPENPOSE], self.is_visible[:N_OPENPOSE])

    def visible(self, names: JointSet) -> Bool[np.ndarray, " J"]:
        """Which of the joints of that name (of `joints.COMMON24`) are visible."""
        return self.is_visible[N_OPENPOSE:][list(index_map(COMMON24, names))]


class _Mesh(NamedTuple):
    """All surfaces of a scene as one mesh."""

    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    rest: Float[np.ndarray, "V 3"]
    """Points at which textures are evaluated."""
    faces: Int32[np.ndarray, "F 3"]
    owner: Int32[np.ndarray, " F"]
    """Index of the person, or −2 − index of the occluder."""
    part: UInt8[np.ndarray, " F"]


def sample_light(rng: np.random.Generator) -> tuple[Light, Float[np.ndarray, " 3"]]:
    """Direction (world axes) and color of a lamp or the sun, above and in front of the scene or beside it."""
    azimuth, elevation = rng.normal(0, 1.0), rng.uniform(0.4, 1.3)
    flat = np.cos(elevation)
    direction = np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])
    warmth = rng.normal(0, 0.06)
    return Light(direction, rng.uniform(0.3, 0.65)), rng.uniform(0.8, 1.15) * np.array(
        [1 + warmth, 1, 1 - warmth]
    )


def sample_sensor(rng: np.random.Generator, params: PictureParams) -> Sensor:
    """Blur, exposure, gamma and noise."""
    blur, noise = rng.uniform(*params.blur_px.bounds), rng.uniform(*params.noise.bounds)
    return Sensor(blur, rng.uniform(0.75, 1.25), rng.uniform(0.75, 1.2), noise)


def sample_environment(
    rng: np.random.Generator, params: PictureParams, camera: Camera, middle: Float[np.ndarray, " 3"]
) -> Environment:
    """A place; with the probability in `params`, an occluder (or two) between the camera and `middle`."""
    n_occluders = int(rng.random() < params.occluder) + int(rng.random() < params.occluder / 2)
    bounds = params.occluder_m.bounds
    occluders = tuple(sample_occluder(rng, camera, middle, bounds) for _ in range(n_occluders))
    light, tint = sample_light(rng)
    return Environment(occluders, sample_background(rng), light, tint, sample_sensor(rng, params))


def render_scene(scene: Scene, bodies: BodySet, rng: np.random.Generator) -> Picture:
    """Render a scene; the generator makes the sensor's noise."""
    camera = scene.camera
    mesh = _join(scene, bodies)
    fine = (camera.size[0] * SUPERSAMPLING, camera.size[1] * SUPERSAMPLING)
    buffers = render(
        mesh.vertices,
        mesh.faces,
        camera.focal_px * SUPERSAMPLING,
        camera.center_px * SUPERSAMPLING,
        fine,
        is_closed=True,
    )
    seen = buffers.mask
    faces, barycentric = buffers.face_index[seen], buffers.barycentric[seen]
    colors = _paint(scene, bodies, mesh, faces, barycentric)
    canvas = np.zeros((*fine, 4))
    canvas[seen] = np.concatenate([colors, np.ones((len(colors), 1))], axis=1)
    front = downsample(canvas, SUPERSAMPLING)
    behind = paint_background(scene.background, camera, _shadow(scene)) * scene.tint
    image = front[..., :3] + (1 - front[..., 3:]) * behind
    owner = np.full(fine, BACKGROUND, dtype=np.int32)
    owner[seen] = np.maximum(mesh.owner[faces], OCCLUDER)
    return Picture(
        _expose(image, scene.sensor, rng), owner[1::SUPERSAMPLING, 1::SUPERSAMPLING], buffers.depth
    )


def render_parts(scene: Scene, bodies: BodySet, number: int) -> UInt8[np.ndarray, "H W"]:
    """Part labels of one of the people, 1–6, at the middle of every pixel; 0 elsewhere.

    Occluders, other people and other parts hide them.
    """
    camera, mesh = scene.camera, _join(scene, bodies)
    view = camera.focal_px, camera.center_px, camera.size
    seen = render(mesh.vertices, mesh.faces, *view, is_closed=True)
    return part_labels(seen, np.where(mesh.owner == number, mesh.part, 0).astype(np.uint8))


def project_joints(person: CameraPerson, camera: Camera, picture: Picture) -> ProjectedJoints:
    """Projections of the 49 joints, and whether the picture shows them."""
    pixels = camera.project(person.joints49)
    shown = _visible(pixels * SUPERSAMPLING, person.joints49[:, 2], _JOINT_DEPTH_M, picture.depth)
    return ProjectedJoints(pixels, shown)


def save_jpeg(
    path: Path, image: UInt8[np.ndarray, "H W 3"], params: PictureParams, rng: np.random.Generator
) -> None:
    """Write an RGB image as JPEG, with a quality sampled within its bounds."""
    path.write_bytes(encode_jpeg(image, round(rng.uniform(*params.jpeg_quality.bounds))))


def _join(scene: Scene, bodies: BodySet) -> _Mesh:
    """People first, then occluders, whose part label is 0."""
    parts: list[_Mesh] = []
    for index, person in enumerate(scene.people):
        body = bodies.files[person.identity.gender]
        normals = vertex_normals(person.vertices, body.f)
        owner = np.full(len(body.f), index, dtype=np.int32)
        rest = body.v_template.astype(np.float64)
        parts.append(_Mesh(person.vertices, normals, rest, body.f, owner, body.part_labels))
    for index, occluder in enumerate(scene.occluders):
        # Corners are not shared between sides, so that each side keeps its own flat normal.
        corners = scene.camera.to_camera(occluder.vertices)[CUBE_FACES].reshape(-1, 3)
        faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
        owner = np.full(len(faces), OCCLUDER - index, dtype=np.int32)
        local = occluder.local[CUBE_FACES].reshape(-1, 3)
        no_part = np.zeros(len(faces), dtype=np.uint8)
        parts.append(_Mesh(corners, vertex_normals(corners, faces), local, faces, owner, no_part))
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    shifted = [
        part._replace(faces=part.faces + np.int32(start)) for part, start in zip(parts, offsets, strict=False)
    ]
    return _Mesh(*(np.concatenate(arrays) for arrays in zip(*shifted, strict=True)))


def _paint(
    scene: Scene,
    bodies: BodySet,
    mesh: _Mesh,
    faces: Int32[np.ndarray, " N"],
    barycentric: Float32[np.ndarray, "N 3"],
) -> Float[np.ndarray, "N 3"]:
    """Lit colors of the points that the rays hit."""
    corners = mesh.faces[faces]
    attributes = np.concatenate([mesh.rest, mesh.normals, mesh.vertices], axis=1)
    rest, normals, points = np.split(interpolate(attributes, corners, barycentric), 3, axis=1)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    colors = np.empty((len(faces), 3))
    owner = mesh.owner[faces]
    for index, person in enumerate(scene.people):
        mine = owner == index
        measures = bodies.measures[person.identity.gender]
        colors[mine] = paint_body(person.identity.outfit, measures, rest[mine], mesh.part[faces[mine]])
    for index, occluder in enumerate(scene.occluders):
        mine = owner == OCCLUDER - index
        colors[mine] = occluder.texture(rest[mine])
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
    image: Float[np.ndarray, "H W 3"], sensor: Sensor, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    if sensor.blur_px > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur_px)
    image = np.clip(image * sensor.exposure, 0, 1) ** sensor.gamma
    image = image + sensor.noise * rng.standard_normal(image.shape)
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


def _visible(
    pixels: Float[np.ndarray, "J 2"],
    joint_depth: Float[np.ndarray, " J"],
    thickness_m: Float[np.ndarray, " J"],
    depth: Float32[np.ndarray, "H W"],
) -> Bool[np.ndarray, " J"]:
    """True where nothing stands between the camera and the flesh around a joint.

    Args:
        pixels: where the joints are projected, pixels of `depth`.
        joint_depth: metres along the camera's z axis.
        thickness_m: how much nearer than the joint its own surface may be.
        depth: of the nearest surface per pixel; infinite where there is none.
    """
    inside = inside_image(pixels, depth.shape)
    column, row = np.where(inside[:, None], pixels, 0.0).astype(np.int64).T
    return inside & (depth[row, column] > joint_depth - thickness_m)
