"""The people of a picture: who they are, how they move, where they stand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spinloop.body.engine import Engine, make_body_model
from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel
from spinloop.mirror.camera import Camera
from spinloop.mirror.clothes import Measures, Outfit, sample_outfit
from spinloop.params.mirror import PeopleParams


class Cast(NamedTuple):
    """The bodies that may be drawn, by gender, with what the drawing needs of each."""

    files: dict[str, BodyFile]
    models: dict[str, BodyModel]
    measures: dict[str, Measures]

    @classmethod
    def of(cls, files: Sequence[BodyFile], engine: Engine) -> "Cast":
        """Prepare bodies of different genders, posed by the named code."""
        return cls(
            {body.gender: body for body in files},
            {body.gender: make_body_model(body, engine) for body in files},
            {body.gender: Measures.of(body) for body in files},
        )


class Character(NamedTuple):
    """Who somebody is, whatever the pose."""

    gender: str
    betas: Float[np.ndarray, " 10"]
    outfit: Outfit


class Stance(NamedTuple):
    """Somebody in a pose, somewhere in the world: all in world axes, metres."""

    character: Character
    pose: Float[np.ndarray, " 72"]
    """Axis-angle; the root turns the body into world axes."""
    trans: Float[np.ndarray, " 3"]
    """Added to the model's points."""
    vertices: Float[np.ndarray, "V 3"]
    joints24: Float[np.ndarray, "24 3"]
    joints49: Float[np.ndarray, "49 3"]


class Person(NamedTuple):
    """Somebody before the camera: all in camera axes."""

    character: Character
    pose: Float[np.ndarray, " 72"]
    """Axis-angle; the root turns the body into camera axes."""
    translation: Float[np.ndarray, " 3"]
    """Metres added to the model's points."""
    vertices: Float[np.ndarray, "V 3"]
    joints49: Float[np.ndarray, "49 3"]


def sample_character(rng: np.random.Generator, genders: Sequence[str], params: PeopleParams) -> Character:
    """Somebody of one of `genders`."""
    betas = np.clip(rng.normal(0, params.betas_std, 10), -params.betas_limit, params.betas_limit)
    return Character(str(rng.choice(genders)), betas.astype(np.float32), sample_outfit(rng))


def sample_root(rng: np.random.Generator, params: PeopleParams) -> Rotation:
    """Upright but for a lean, turned about the vertical; no turn faces the camera (world +z)."""
    yaw = rng.normal(0, np.deg2rad(params.facing_std_deg))
    if rng.random() < params.any_direction:
        yaw = rng.uniform(-np.pi, np.pi)
    forward, sideways = rng.normal(0, np.deg2rad(params.tilt_std_deg), 2)
    return Rotation.from_rotvec([0.0, yaw, 0.0]) * Rotation.from_rotvec([forward, 0.0, sideways])


def stand(
    cast: Cast,
    character: Character,
    root: Rotation,
    body: Float[np.ndarray, " 69"],
    place: Float[np.ndarray, " 2"],
) -> Stance:
    """Put somebody on the floor, the pelvis above `place` (x, z of the world, metres)."""
    pose = np.concatenate([root.as_rotvec(), body]).astype(np.float32)
    with torch.no_grad():
        output = cast.models[character.gender](torch.tensor(pose)[None], torch.tensor(character.betas)[None])
    vertices, joints24, joints49 = (points[0].double().numpy() for points in output)
    pelvis = joints24[0]
    trans = np.array([place[0] - pelvis[0], -vertices[:, 1].min(), place[1] - pelvis[2]])
    return Stance(character, pose, trans, vertices + trans, joints24 + trans, joints49 + trans)


def before_camera(stance: Stance, camera: Camera) -> Person:
    """The same person in camera axes.

    The model turns a body about its own pelvis p, so x ↦ R·x + t of the world becomes a root rotation
    R·R_root and the translation R·(p + trans) + t − p.
    """
    root = Rotation.from_matrix(camera.rotation) * Rotation.from_rotvec(stance.pose[:3])
    pose = np.concatenate([root.as_rotvec(), stance.pose[3:]]).astype(np.float32)
    pelvis = stance.joints24[0]
    return Person(
        character=stance.character,
        pose=pose,
        translation=camera.to_camera(pelvis[None])[0] - (pelvis - stance.trans),
        vertices=camera.to_camera(stance.vertices),
        joints49=camera.to_camera(stance.joints49),
    )
