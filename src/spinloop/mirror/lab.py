"""A laboratory: static cameras in a ring, and one person who moves in the middle."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from spinloop.joints import H36M17, MODEL49, SMPL24
from spinloop.mirror.background import Background, sample_background
from spinloop.mirror.camera import Camera, focal_of, look_at
from spinloop.mirror.job import MirrorJob
from spinloop.mirror.people import (
    BodySet,
    CameraPerson,
    Identity,
    WorldPerson,
    place_person,
    sample_identity,
    sample_motion,
)
from spinloop.mirror.scene import (
    Environment,
    ProjectedJoints,
    Sensor,
    project_joints,
    render_scene,
    sample_light,
)
from spinloop.mirror.textures import plain
from spinloop.params.mirror import H36mParams, LabParams, MpiInf3dhpParams, MpiTrainParams
from spinloop.tables.images import Video

# Third entries of a seed.
_LAB, _SUBJECT, _SEQUENCE = 0, 1, 2
_AIM_M = 0.9
_JITTER_RAD = 0.12
_GREEN = np.array([0.16, 0.62, 0.25])


class LabCamera(NamedTuple):
    """One of the cameras, and the environment that it sees."""

    camera: Camera
    environment: Environment


class LabSequence(NamedTuple):
    """A person's motion before all cameras; it changes only every few frames, in steps."""

    cameras: list[LabCamera]
    identity: Identity
    people: list[WorldPerson]
    """The person at each step."""
    steps: tuple[int, ...]
    """Step of each frame."""
    rng: np.random.Generator
    """The sequence's own generator."""


class LabView(NamedTuple):
    """What one camera sees of a sequence."""

    camera: Camera
    people: list[CameraPerson]
    """The person at each step."""
    joints: list[ProjectedJoints]
    """The person's joints on the picture of each step."""


def sample_sequence(
    job: MirrorJob[H36mParams] | MirrorJob[MpiInf3dhpParams],
    params: H36mParams | MpiTrainParams,
    stream: int,
    subject: int,
    number: int,
    n_cameras: int,
    is_green: bool,
) -> LabSequence:
    """One sequence of a subject; all sequences have the same cameras, those of a subject the same person.

    Args:
        job: the mirror.
        params: the laboratory, how people move, and how many frames there are.
        stream: second entry of every seed; every mirror has its own.
        subject: number of the subject.
        number: of the sequence, among all.
        n_cameras: how many cameras there are.
        is_green: walls and floor are a green screen.
    """
    bodies, mixture = job.read_inputs()
    people, seed = job.params.people, [job.params.seed, stream]
    cameras = sample_lab(np.random.default_rng([*seed, _LAB]), params.lab, n_cameras, is_green)
    identity = sample_identity(np.random.default_rng([*seed, _SUBJECT, subject]), bodies, people)
    rng = np.random.default_rng([*seed, _SEQUENCE, number])
    # A step ends with the frame of its own number: the frame after a subsampled one shows another step.
    steps = tuple(-(-frame // params.steps.frames_per_step) for frame in range(params.n_frames))
    n_steps, steps_per_pose = steps[-1] + 1, params.steps.steps_per_pose
    states = sample_motion(rng, mixture, n_steps, steps_per_pose, people, radius_m=params.lab.radius_m)
    placed = [place_person(bodies, identity, state) for state in states]
    return LabSequence(cameras, identity, placed, steps, rng)


def sample_lab(
    rng: np.random.Generator, params: LabParams, n_cameras: int, is_green: bool
) -> list[LabCamera]:
    """Cameras at even angles; the last sees the front of a person who faces the world's +z.

    Args:
        rng: generator.
        params: the laboratory.
        n_cameras: how many.
        is_green: walls and floor are a green screen.
    """
    light, tint = sample_light(rng)
    floor = sample_background(rng).floor
    cameras = []
    for index in range(n_cameras):
        angle = 2 * np.pi * (index + 1) / n_cameras + rng.normal(0, _JITTER_RAD)
        background = sample_background(rng)
        # A wall behind the person as this camera sees it: a room has a wall on every side.
        wall = params.distance_m.low + rng.uniform(0.0, 1.0)
        toward = np.array([np.sin(angle), 0.0, np.cos(angle)])
        background = background._replace(floor=floor, wall_normal=toward, wall_distance_m=wall)
        if is_green:
            background = green_screen(background)
        sensor = Sensor(
            blur_px=rng.uniform(*params.blur_px.bounds),
            exposure=rng.uniform(0.85, 1.15),
            gamma=rng.uniform(0.85, 1.1),
            noise=rng.uniform(*params.noise.bounds),
        )
        environment = Environment((), background, light, tint, sensor)
        cameras.append(LabCamera(_sample_camera(rng, params, toward), environment))
    return cameras


def green_screen(background: Background) -> Background:
    """The same room with green walls and floor."""
    return background._replace(floor=plain(_GREEN), wall=plain(_GREEN * 0.9), panels=())


def _sample_camera(rng: np.random.Generator, params: LabParams, toward: Float[np.ndarray, " 3"]) -> Camera:
    size = (params.side_px, params.side_px)
    focal = focal_of(rng.uniform(*params.field_of_view_deg.bounds), size)
    position = toward * rng.uniform(*params.distance_m.bounds)
    position[1] = rng.uniform(*params.height_m.bounds)
    return look_at(position, np.array([0.0, _AIM_M, 0.0]), 0.0, focal, size)


def render_videos(
    sequence: LabSequence,
    bodies: BodySet,
    cameras: Sequence[LabCamera],
    paths: Sequence[Path],
    fourcc: str,
    rate: float,
) -> list[LabView]:
    """Render a sequence as some of the cameras see it; every step is rendered once.

    Args:
        sequence: the person's motion; its generator makes the sensors' noise.
        bodies: the bodies.
        cameras: which cameras.
        paths: a video for each of them.
        fourcc: format of the videos.
        rate: frames per second.

    Returns:
        What each camera sees.
    """
    views = []
    for path, (camera, environment) in zip(paths, cameras, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        view, image = LabView(camera, [], []), np.zeros((*camera.size, 3), dtype=np.uint8)
        with _open_video(path, fourcc, rate, camera.size) as writer:
            for step in sequence.steps:
                if step == len(view.people):
                    scene = environment.scene(camera, (sequence.people[step],))
                    picture = render_scene(scene, bodies, sequence.rng)
                    view.people.append(scene.people[0])
                    view.joints.append(project_joints(scene.people[0], camera, picture))
                    image = picture.image
                writer.write(np.ascontiguousarray(image[..., ::-1]))
        # OpenCV says nothing of a write that failed.
        if Video(path).n_frames != len(sequence.steps):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        views.append(view)
    return views


@contextmanager
def _open_video(path: Path, fourcc: str, rate: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    code = cv2.VideoWriter.fourcc(*fourcc)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (size[1], size[0]))
    if not writer.isOpened():
        raise RuntimeError(f"OpenCV cannot write {fourcc} videos")
    try:
        yield writer
    finally:
        writer.release()


def captured_joints(bodies: BodySet, person: WorldPerson, names: Sequence[str]) -> Float[np.ndarray, "J 3"]:
    """Joints as motion capture reports them, world axes, metres.

    The skeletons of both laboratories consist of the joints of the body's H36M regressor, and of the body's
    own joints where they have more than those.

    Args:
        bodies: the bodies.
        person: whose joints.
        names: of `joints.H36M17`, of `joints.SMPL24` with `smpl_` before them, or of `joints.MODEL49`.
    """
    regressor = bodies.files[person.identity.gender].J_regressor_h36m.astype(np.float64)
    points = dict(zip(MODEL49, person.joints49, strict=True))
    points |= dict(zip(H36M17, regressor @ person.vertices, strict=True))
    points |= {f"smpl_{name}": point for name, point in zip(SMPL24, person.joints24, strict=True)}
    return np.stack([points[name] for name in names])
