"""Somebody who moves: from pose to pose of the mixture, walking where the body faces.

The people of a picture: who they are, how they move, where they stand.

The truth of a mirror: what made each person's picture. No reader and no training ever sees this table.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel, Engine, make_body_model
from spinloop.mirror.camera import Camera
from spinloop.mirror.textures import Measures, Outfit, sample_outfit
from spinloop.params.mirror import PeopleParams
from spinloop.tables.records import GENDERS
from spinloop.tables.table import Column, Layout, load_table, save_table

_STEP_M = 0.12
_TURN_RAD = 0.35


class Frame(NamedTuple):
    """Where somebody is at one moment."""

    root: Rotation
    """Turns the body into world axes."""
    body: Float[np.ndarray, " 69"]
    place: Float[np.ndarray, " 2"]
    """x, z of the world, metres."""


def sample_motion(
    rng: np.random.Generator,
    poses: Float[np.ndarray, "K 69"],
    n_frames: int,
    start: Float[np.ndarray, " 2"],
    params: PeopleParams,
) -> list[Frame]:
    """Frames that lead evenly through the poses, the shortest way for every joint.

    Args:
        rng: generator.
        poses: at least two; the first and the last frame have the first and the last of them.
        n_frames: frames in all.
        start: x, z of the world where the first frame stands.
        params: how people stand.
    """
    keys = np.linspace(0.0, 1.0, len(poses))
    moments = np.linspace(0.0, 1.0, n_frames)
    joints = [
        Slerp(keys, Rotation.from_rotvec(poses[:, 3 * joint : 3 * joint + 3]))(moments).as_rotvec()
        for joint in range(poses.shape[1] // 3)
    ]
    bodies = np.stack(joints, axis=1).reshape(n_frames, -1)
    roots = _turning(rng, sample_root(rng, params), keys, moments)
    return [
        Frame(root, body, place)
        for root, body, place in zip(roots, bodies, _walk(rng, roots, start), strict=True)
    ]


def _turning(
    rng: np.random.Generator,
    first: Rotation,
    keys: Float[np.ndarray, " K"],
    moments: Float[np.ndarray, " F"],
) -> list[Rotation]:
    """Orientations that wander about the vertical."""
    yaws = np.concatenate([[0.0], rng.normal(0, _TURN_RAD, len(keys) - 1)]).cumsum()
    about_y = np.stack([np.zeros(len(keys)), yaws, np.zeros(len(keys))], axis=1)
    return list(Slerp(keys, Rotation.from_rotvec(about_y) * first)(moments))


def _walk(
    rng: np.random.Generator, roots: Sequence[Rotation], start: Float[np.ndarray, " 2"]
) -> list[Float[np.ndarray, " 2"]]:
    """Steps of one length in the directions that the body faces."""
    step = rng.uniform(0.0, _STEP_M)
    ahead = np.array([root.apply([0.0, 0.0, step])[::2] for root in roots])
    return list(start + np.concatenate([np.zeros((1, 2)), ahead[:-1].cumsum(0)]))


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


TRUTH = Layout(
    "truth@1",
    (
        Column("id", "string", "<split>/<image>#<person>, as the reader of the format names the person"),
        Column("pose", "float32", "axis-angle of the 24 joints, the root in camera axes", "rad", (72,)),
        Column("betas", "float32", "shape coefficients", "sd", (10,)),
        Column("gender", "string", "the body that they belong to", choices=GENDERS),
        Column("translation", "float64", "added to the model's points, camera axes", "m", (3,)),
        Column("camera", "float64", "focal length and principal point x, y of the image", "px", (3,)),
    ),
)


def truth_row(key: str, person: Person, camera: Camera) -> dict[str, Any]:
    """The row of one person.

    Args:
        key: `annotations.record.make_id` of the person.
        person: as drawn.
        camera: that drew it.
    """
    return {
        "id": key,
        "pose": person.pose,
        "betas": person.character.betas,
        "gender": person.character.gender,
        "translation": person.translation,
        "camera": np.array([camera.focal_px, *camera.center_px]),
    }


def save_truth(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the table, atomically."""
    save_table(path, TRUTH, rows)


def load_truth(path: Path) -> pd.DataFrame:
    """Read and check the table; array columns hold arrays.

    Raises:
        UserError: the file is absent, damaged or of another layout.
    """
    return load_table(path, TRUTH, "make it with `spinloop mirror_<dataset>`")
