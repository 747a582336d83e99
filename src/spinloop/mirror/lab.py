"""The joints that motion capture reports of a body, in the order of each dataset.

Both datasets' skeletons are made of the body's H36M joints, whose regressor defines these names for the whole
package, and of its own joints where a skeleton has more than those.

A laboratory: cameras in a ring that never move, and somebody who acts in the middle.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from spinloop.joints import H36M17, MODEL49, SMPL24, JointSet
from spinloop.mirror.background import Background, sample_background
from spinloop.mirror.camera import Camera, focal_of, look_at
from spinloop.mirror.people import Cast, Character, Frame, Stance, sample_motion, stand
from spinloop.mirror.scene import Lens, Marks, Setting, draw, look_for_joints, sample_light
from spinloop.mirror.textures import plain
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import LabParams, PeopleParams, StepsParams

# Human3.6M's 32 joints; several stand in one place, as in the original.
H36M32: JointSet = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe", "left_hip",
    "left_knee", "left_ankle", "smpl_left_foot", "op_left_big_toe", "pelvis", "spine", "neck", "jaw", "head",
    "neck", "left_shoulder", "left_elbow", "left_wrist", "left_wrist", "smpl_left_hand", "left_wrist",
    "smpl_left_hand", "neck", "right_shoulder", "right_elbow", "right_wrist", "right_wrist",
    "smpl_right_hand", "right_wrist", "smpl_right_hand",
)  # fmt: skip
# MPI-INF-3DHP's 28 joints of the training set.
MPI28: JointSet = (
    "smpl_spine3", "smpl_neck", "smpl_spine2", "spine", "pelvis", "neck", "jaw", "head", "smpl_left_collar",
    "left_shoulder", "left_elbow", "left_wrist", "smpl_left_hand", "smpl_right_collar", "right_shoulder",
    "right_elbow", "right_wrist", "smpl_right_hand", "left_hip", "left_knee", "left_ankle", "smpl_left_foot",
    "op_left_big_toe", "right_hip", "right_knee", "right_ankle", "smpl_right_foot", "op_right_big_toe",
)  # fmt: skip
# Its 17 joints of the test set.
MPI17: JointSet = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis",
    "spine", "jaw",
)  # fmt: skip
# From the knees to the neck, the size of MPI-INF-3DHP's universal skeleton.
_UNIVERSAL_M = 0.92


def captured_joints(cast: Cast, stance: Stance, names: Sequence[str]) -> Float[np.ndarray, "J 3"]:
    """Joints of somebody, world axes, metres.

    Args:
        cast: the bodies.
        stance: the person.
        names: `joints.H36M17`, `smpl_` and `joints.SMPL24`, or `joints.MODEL49`.
    """
    regressor = cast.files[stance.character.gender].J_regressor_h36m.astype(np.float64)
    points = dict(zip(MODEL49, stance.joints49, strict=True))
    points |= dict(zip(H36M17, regressor @ stance.vertices, strict=True))
    points |= {f"smpl_{name}": point for name, point in zip(SMPL24, stance.joints24, strict=True)}
    return np.stack([points[name] for name in names])


def universal_factor(cast: Cast, character: Character) -> float:
    """What makes somebody as large as the universal skeleton."""
    model = cast.models[character.gender]
    with torch.no_grad():
        vertices = model.vertices(torch.zeros(1, 72), torch.tensor(character.betas)[None])
        joints = dict(zip(H36M17, model.regress_h36m(vertices)[0].double().numpy(), strict=True))
    trunk = np.linalg.norm(joints["neck"] - joints["pelvis"])
    return float(_UNIVERSAL_M / (trunk + np.linalg.norm(joints["left_hip"] - joints["left_knee"])))


_AIM_M = 0.9
_JITTER_RAD = 0.12
_GREEN = np.array([0.16, 0.62, 0.25])


class LabView(NamedTuple):
    """One of the cameras and what stands before it."""

    camera: Camera
    setting: Setting


def sample_lab(rng: np.random.Generator, params: LabParams, n_cameras: int, is_green: bool) -> list[LabView]:
    """Cameras at even angles; the last looks at the front of whoever faces the world's +z.

    Args:
        rng: generator.
        params: the laboratory.
        n_cameras: how many.
        is_green: walls and floor are a green screen.
    """
    light, tint = sample_light(rng)
    floor = sample_background(rng).floor
    views = []
    for index in range(n_cameras):
        angle = 2 * np.pi * (index + 1) / n_cameras + rng.normal(0, _JITTER_RAD)
        background = sample_background(rng)
        # Behind the person as this camera sees it: a room has a wall on every side.
        wall = params.distance_m.low + rng.uniform(0.0, 1.0)
        toward = np.array([np.sin(angle), 0.0, np.cos(angle)])
        background = background._replace(floor=floor, wall_normal=toward, wall_distance_m=wall)
        if is_green:
            background = green_screen(background)
        lens = Lens(
            blur_px=rng.uniform(*params.blur_px.bounds),
            exposure=rng.uniform(0.85, 1.15),
            gamma=rng.uniform(0.85, 1.1),
            noise=rng.uniform(*params.noise.bounds),
        )
        views.append(LabView(_camera(rng, params, toward), Setting((), background, light, tint, lens)))
    return views


def green_screen(background: Background) -> Background:
    """The same room, hung with green cloth."""
    return background._replace(floor=plain(_GREEN), wall=plain(_GREEN * 0.9), panels=())


def _camera(rng: np.random.Generator, params: LabParams, toward: Float[np.ndarray, " 3"]) -> Camera:
    size = (params.side_px, params.side_px)
    focal = focal_of(rng.uniform(*params.field_of_view_deg.bounds), size)
    position = toward * rng.uniform(*params.distance_m.bounds)
    position[1] = rng.uniform(*params.height_m.bounds)
    return look_at(position, np.array([0.0, _AIM_M, 0.0]), 0.0, focal, size)


def act(
    cast: Cast,
    character: Character,
    mixture: Mixture,
    n_steps: int,
    steps: StepsParams,
    people: PeopleParams,
    radius_m: float,
    rng: np.random.Generator,
) -> list[Stance]:
    """Somebody moving through poses of the mixture, never far from the middle; one stance a step."""
    n_poses = max(2, 1 + round(n_steps / steps.steps_per_pose))
    motion = sample_motion(rng, mixture.sample(n_poses, rng), n_steps, np.zeros(2), people)
    return [
        stand(cast, character, moment.root, moment.body, kept_near(moment, radius_m)) for moment in motion
    ]


def kept_near(moment: Frame, radius_m: float) -> Float[np.ndarray, " 2"]:
    """The place of a moment, pulled back to within a radius of the middle."""
    distance = float(np.linalg.norm(moment.place))
    return moment.place * min(1.0, radius_m / max(distance, 1e-9))


def step_of(frame: int, frames_per_step: int) -> int:
    """The step that a 0-based frame shows.

    A step ends with the frame of its own number: whoever takes the video's next frame sees another moment.
    """
    return -(-frame // frames_per_step)


def film(
    paths: Sequence[Path],
    fourcc: str,
    rate: float,
    views: Sequence[LabView],
    cast: Cast,
    stances: Sequence[Stance],
    shown: Sequence[int],
    rng: np.random.Generator,
) -> list[list[Marks]]:
    """Draw a performance as every camera sees it.

    Args:
        paths: the videos, one for each view.
        fourcc: their format.
        rate: frames a second.
        views: the cameras.
        cast: the bodies.
        stances: the steps.
        shown: which step each frame shows: 0, then the same or the next.
        rng: makes the sensors' noise.

    Returns:
        The person's joints on the pictures, by view and step.
    """
    marks: list[list[Marks]] = []
    for path, view in zip(paths, views, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((*view.camera.size, 3), dtype=np.uint8)
        seen: list[Marks] = []
        with _video(path, fourcc, rate, view.camera.size) as writer:
            for step in shown:
                if step == len(seen):
                    scene = view.setting.scene(view.camera, (stances[step],))
                    picture = draw(scene, cast, rng)
                    seen.append(look_for_joints(scene.people[0], view.camera, picture))
                    image = picture.image
                writer.write(_to_bgr(image))
        marks.append(seen)
    return marks


def _to_bgr(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return np.ascontiguousarray(image[..., ::-1])


@contextmanager
def _video(path: Path, fourcc: str, rate: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    code = cv2.VideoWriter.fourcc(*fourcc)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (size[1], size[0]))
    if not writer.isOpened():
        raise RuntimeError(f"OpenCV cannot write {fourcc} videos")
    with ExitStack() as stack:
        stack.callback(writer.release)
        yield writer
