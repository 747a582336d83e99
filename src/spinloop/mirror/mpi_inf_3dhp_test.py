"""A mirror of MPI-INF-3DHP's test set: six sequences, before a green screen, in rooms and outdoors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.annotations.mpi_inf_3dhp_test import ACTIVITIES, FOLDER
from spinloop.annotations.record import make_id
from spinloop.mirror.camera import Camera
from spinloop.mirror.captured import MPI17, captured_joints, universal_factor
from spinloop.mirror.framing import sample_view
from spinloop.mirror.lab import green_screen, kept_near
from spinloop.mirror.matlab import write_mat73
from spinloop.mirror.motion import sample_motion
from spinloop.mirror.mpi_inf_3dhp import MIRROR
from spinloop.mirror.people import Cast, Stance, sample_character, stand
from spinloop.mirror.pool import Studio, open_studio, run_pieces
from spinloop.mirror.scene import draw, encode_jpeg
from spinloop.mirror.staging import Setting, middle_of, sample_setting
from spinloop.mirror.truth import truth_row
from spinloop.mirror.visibility import inside_image
from spinloop.params.mirror_lab import MpiInf3dhpParams

SPLIT = "mpi_inf_3dhp_test"
SEQUENCES = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
_GREEN, _OUTDOORS = ("TS1", "TS2"), ("TS5", "TS6")
_TEST = 4  # third entry of every seed; the training part has 0 to 3
_RADIUS_M = 0.4
_ACTIVITIES_EACH = 3


class Performance(NamedTuple):
    """One sequence to be filmed."""

    name: str
    params: MpiInf3dhpParams
    studio: Studio
    root: Path


def write_test(
    params: MpiInf3dhpParams, studio: Studio, root: Path, workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Film all sequences.

    Args:
        params: the section `mirror_mpi_inf_3dhp`.
        studio: the body and the pose mixture.
        root: root of the mirror; it exists.
        workers: processes.

    Yields:
        The rows of the truth of one sequence: frames that are valid and show all joints.
    """
    tasks = [Performance(name, params, studio, root) for name in SEQUENCES]
    yield from run_pieces(make_sequence, tasks, workers)


def make_sequence(task: Performance) -> list[dict[str, Any]]:
    """Draw one sequence, write its pictures and its annotation."""
    cast, mixture = open_studio(task.studio)
    params, test, number = task.params, task.params.test, SEQUENCES.index(task.name)
    rng = np.random.default_rng([params.seed, MIRROR, _TEST, number])
    character = sample_character(rng, sorted(cast.files), params.people)
    n_poses = max(2, 1 + round(test.n_frames / test.frames_per_pose))
    poses = mixture.sample(n_poses, rng)
    motion = sample_motion(rng, poses, test.n_frames, np.zeros(2), params.people)
    stances = [
        stand(cast, character, moment.root, moment.body, kept_near(moment, _RADIUS_M)) for moment in motion
    ]
    camera, setting = _sample_place(task, stances[0], rng)
    pictures = task.root / FOLDER / task.name / "imageSequence"
    pictures.mkdir(parents=True)
    is_valid = rng.random(test.n_frames) >= test.not_valid
    joints = np.stack([camera.to_camera(captured_joints(cast, stance, MPI17)) for stance in stances])
    rows = []
    for index, stance in enumerate(stances):
        image, row = _draw(cast, camera, setting, stance, test.picture.jpeg_quality.bounds, rng)
        name = f"img_{index + 1:06d}.jpg"
        (pictures / name).write_bytes(image)
        if is_valid[index] and inside_image(camera.project(joints[index]), camera.size).all():
            key = f"{FOLDER}/{task.name}/imageSequence/{name}"
            rows.append({**row, "id": make_id(SPLIT, key, 0)})
    content = _annotation(joints, camera, universal_factor(cast, character))
    write_mat73(
        pictures.parent / "annot_data.mat",
        {
            **content,
            "valid_frame": is_valid[None].astype(np.float64),
            "activity_annotation": _activities(number, test.n_frames)[None],
        },
    )
    return rows


def _sample_place(task: Performance, first: Stance, rng: np.random.Generator) -> tuple[Camera, Setting]:
    """A camera that does not move, and what lies around."""
    test = task.params.test
    height = test.picture.short_side_px
    width = test.picture.long_side_px if task.name in _OUTDOORS else height
    camera = sample_view(rng, test.camera, (height, width), middle_of(first)).camera((height, width))
    setting = sample_setting(rng, test.picture, camera, middle_of(first))
    distance = np.inf if task.name in _OUTDOORS else rng.uniform(1.5, 4.0)
    background = setting.background._replace(wall_distance_m=distance)
    if task.name in _GREEN:
        background = green_screen(background)
    return camera, setting._replace(background=background)


def _draw(
    cast: Cast,
    camera: Camera,
    setting: Setting,
    stance: Stance,
    quality: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[bytes, dict[str, Any]]:
    """A picture's file, and the row of its truth without a name."""
    scene = setting.scene(camera, (stance,))
    picture = draw(scene, cast, rng)
    row = truth_row("", scene.people[0], camera)
    return encode_jpeg(picture.image, round(rng.uniform(*quality))), row


def _annotation(
    joints: Float[np.ndarray, "F 17 3"], camera: Camera, universal: float
) -> dict[str, np.ndarray]:
    """Arrays in MATLAB's order of axes: numbers × joints × 1 × frames."""
    pixels = np.stack([camera.project(frame) for frame in joints])
    metric = 1000 * joints
    parts = {"annot2": pixels, "annot3": metric, "univ_annot3": universal * metric}
    return {key: part[:, None].T for key, part in parts.items()}


def _activities(number: int, n_frames: int) -> Float[np.ndarray, " F"]:
    """Numbers from 1, some in each sequence, all over the six."""
    part = np.arange(n_frames) * _ACTIVITIES_EACH // n_frames
    return (1.0 + (_ACTIVITIES_EACH * number + part) % len(ACTIVITIES)).astype(np.float64)
