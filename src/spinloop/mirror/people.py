"""The people of a picture: gender, shape and clothes, poses and motion, position in the world."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel, Engine, make_body_model
from spinloop.mirror.camera import Camera
from spinloop.mirror.textures import BodyMeasures, Outfit, sample_outfit
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import PeopleParams

# Longest step from one frame to the next, and spread of the yaw from one pose to the next.
_STEP_M = 0.12
_YAW_STD_RAD = 0.35


class BodySet(NamedTuple):
    """The bodies that may be rendered, by gender."""

    files: dict[str, BodyFile]
    models: dict[str, BodyModel]
    measures: dict[str, BodyMeasures]

    @classmethod
    def of(cls, files: Sequence[BodyFile], engine: Engine) -> "BodySet":
        """Prepare bodies of different genders, posed by the named code."""
        return cls(
            {body.gender: body for body in files},
            {body.gender: make_body_model(body, engine) for body in files},
            {body.gender: BodyMeasures.of(body) for body in files},
        )


class Identity(NamedTuple):
    """Gender, shape and clothes of a person."""

    gender: str
    betas: Float[np.ndarray, " 10"]
    outfit: Outfit


class PersonState(NamedTuple):
    """Pose and place of a person at one moment."""

    root: Rotation
    """From body axes to world axes."""
    body: Float[np.ndarray, " 69"]
    """Axis-angle of the 23 joints other than the root."""
    place: Float[np.ndarray, " 2"]
    """x, z of the world, metres."""


class WorldPerson(NamedTuple):
    """A posed person in world axes, metres."""

    identity: Identity
    pose: Float[np.ndarray, " 72"]
    """Axis-angle; the root from body axes to world axes."""
    trans: Float[np.ndarray, " 3"]
    """Added to the model's points."""
    vertices: Float[np.ndarray, "V 3"]
    joints24: Float[np.ndarray, "24 3"]
    joints49: Float[np.ndarray, "49 3"]

    @property
    def middle(self) -> Float[np.ndarray, " 3"]:
        """Middle of the bounding box."""
        return (self.vertices.min(0) + self.vertices.max(0)) / 2


class CameraPerson(NamedTuple):
    """A posed person in camera axes, metres."""

    identity: Identity
    pose: Float[np.ndarray, " 72"]
    """Axis-angle; the root from body axes to camera axes."""
    translation: Float[np.ndarray, " 3"]
    """Added to the model's points."""
    vertices: Float[np.ndarray, "V 3"]
    joints49: Float[np.ndarray, "49 3"]


def sample_identity(rng: np.random.Generator, bodies: BodySet, params: PeopleParams) -> Identity:
    """A person of one of the genders that there are bodies of."""
    betas = np.clip(rng.normal(0, params.betas_std, 10), -params.betas_limit, params.betas_limit)
    return Identity(str(rng.choice(sorted(bodies.files))), betas.astype(np.float32), sample_outfit(rng))


def sample_root(rng: np.random.Generator, params: PeopleParams) -> Rotation:
    """Upright but for a lean, rotated about the vertical; the identity faces the camera (world +z)."""
    yaw = rng.normal(0, np.deg2rad(params.facing_std_deg))
    if rng.random() < params.any_direction:
        yaw = rng.uniform(-np.pi, np.pi)
    forward, sideways = rng.normal(0, np.deg2rad(params.tilt_std_deg), 2)
    return Rotation.from_rotvec([0.0, yaw, 0.0]) * Rotation.from_rotvec([forward, 0.0, sideways])


def place_person(bodies: BodySet, identity: Identity, state: PersonState) -> WorldPerson:
    """Pose a person on the floor, the pelvis above the place of its state."""
    pose = np.concatenate([state.root.as_rotvec(), state.body]).astype(np.float32)
    with torch.no_grad():
        output = bodies.models[identity.gender](torch.tensor(pose)[None], torch.tensor(identity.betas)[None])
    vertices, joints24, joints49 = (points[0].double().numpy() for points in output)
    pelvis = joints24[0]
    trans = np.array([state.place[0] - pelvis[0], -vertices[:, 1].min(), state.place[1] - pelvis[2]])
    return WorldPerson(identity, pose, trans, vertices + trans, joints24 + trans, joints49 + trans)


def to_camera_axes(person: WorldPerson, camera: Camera) -> CameraPerson:
    """The same person in camera axes.

    The model rotates a body about its own pelvis p, so x ↦ R·x + t of the world becomes a root rotation
    R·R_root and the translation R·(p + trans) + t − p.
    """
    root = Rotation.from_matrix(camera.rotation) * Rotation.from_rotvec(person.pose[:3])
    pose = np.concatenate([root.as_rotvec(), person.pose[3:]]).astype(np.float32)
    pelvis = person.joints24[0]
    return CameraPerson(
        identity=person.identity,
        pose=pose,
        translation=camera.to_camera(pelvis[None])[0] - (pelvis - person.trans),
        vertices=camera.to_camera(person.vertices),
        joints49=camera.to_camera(person.joints49),
    )


def sample_motion(
    rng: np.random.Generator,
    mixture: Mixture,
    n_frames: int,
    frames_per_pose: int,
    params: PeopleParams,
    start: Float[np.ndarray, " 2"] | None = None,
    radius_m: float = np.inf,
) -> list[PersonState]:
    """A walk through poses of the mixture, in the direction that the body faces.

    Args:
        rng: generator.
        mixture: the distribution of poses; at least two are sampled.
        n_frames: frames in all.
        frames_per_pose: frames from one pose to the next; those between are interpolated.
        params: how people stand.
        start: x, z of the world where the first frame stands, metres; the origin if left out.
        radius_m: places further than this from the origin are pulled back to this distance.
    """
    poses = mixture.sample(max(2, 1 + round(n_frames / frames_per_pose)), rng)
    states = interpolate_motion(rng, poses, n_frames, np.zeros(2) if start is None else start, params)
    return [state._replace(place=_within(state.place, radius_m)) for state in states]


def interpolate_motion(
    rng: np.random.Generator,
    poses: Float[np.ndarray, "K 69"],
    n_frames: int,
    start: Float[np.ndarray, " 2"],
    params: PeopleParams,
) -> list[PersonState]:
    """States evenly through the poses, every joint by the shortest rotation.

    Args:
        rng: generator.
        poses: at least two; the first and the last frame have the first and the last of them.
        n_frames: frames in all.
        start: x, z of the world where the first frame stands, metres.
        params: how people stand.
    """
    keys = np.linspace(0.0, 1.0, len(poses))
    moments = np.linspace(0.0, 1.0, n_frames)
    joints = [
        Slerp(keys, Rotation.from_rotvec(poses[:, 3 * joint : 3 * joint + 3]))(moments).as_rotvec()
        for joint in range(poses.shape[1] // 3)
    ]
    bodies = np.stack(joints, axis=1).reshape(n_frames, -1)
    roots = _sample_roots(rng, sample_root(rng, params), keys, moments)
    places = _sample_places(rng, roots, start)
    return [PersonState(root, body, place) for root, body, place in zip(roots, bodies, places, strict=True)]


def _within(place: Float[np.ndarray, " 2"], radius_m: float) -> Float[np.ndarray, " 2"]:
    distance = float(np.linalg.norm(place))
    return place * min(1.0, radius_m / max(distance, 1e-9))


def _sample_roots(
    rng: np.random.Generator,
    first: Rotation,
    keys: Float[np.ndarray, " K"],
    moments: Float[np.ndarray, " F"],
) -> list[Rotation]:
    """Orientations whose yaw is a random walk."""
    yaws = np.concatenate([[0.0], rng.normal(0, _YAW_STD_RAD, len(keys) - 1)]).cumsum()
    about_y = np.stack([np.zeros(len(keys)), yaws, np.zeros(len(keys))], axis=1)
    return list(Slerp(keys, Rotation.from_rotvec(about_y) * first)(moments))


def _sample_places(
    rng: np.random.Generator, roots: Sequence[Rotation], start: Float[np.ndarray, " 2"]
) -> list[Float[np.ndarray, " 2"]]:
    """Steps of one length in the directions that the body faces."""
    step = rng.uniform(0.0, _STEP_M)
    ahead = np.array([root.apply([0.0, 0.0, step])[::2] for root in roots])
    return list(start + np.concatenate([np.zeros((1, 2)), ahead[:-1].cumsum(0)]))
