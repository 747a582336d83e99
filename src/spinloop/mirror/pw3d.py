"""A mirror of 3DPW: videos of one or two people before a moving camera, with their true bodies.

Its sequence files are pickles as Python 2 wrote them. They differ from protocol 2 of Python 3 in two ways:
text and the bytes of arrays are byte strings (Python 2's `str`), which a reader decodes as latin-1, and
NumPy's functions have their old names.
"""

import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import OPENPOSE18, OPENPOSE25, index_map
from spinloop.keypoints.noise import sample_detection
from spinloop.mirror.camera import Camera, sample_companion_place, sample_size, sample_viewpoint
from spinloop.mirror.job import MirrorJob, run_tasks, truth_row
from spinloop.mirror.people import (
    BodySet,
    CameraPerson,
    PersonState,
    WorldPerson,
    place_person,
    sample_identity,
    sample_motion,
)
from spinloop.mirror.scene import Environment, project_joints, render_scene, sample_environment, save_jpeg
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import Pw3dParams
from spinloop.tables.records import make_id

Pickled = np.ndarray | str | bytes | int | Sequence["Pickled"] | Mapping[str, "Pickled"]

_TUPLE_OF_ZERO = pickle.BININT1 + b"\0" + pickle.TUPLE1
_STREAM = 2  # second entry of every seed; every mirror has its own
_PLACES = ("courtyard", "downtown", "office", "park", "square", "station")
_ACTIVITIES = ("crossing", "dancing", "meeting", "running", "stretching", "walking")
_TO_OPENPOSE18 = list(index_map(OPENPOSE25, OPENPOSE18))
_LETTER = {"female": "f", "male": "m"}


class _VideoFrame(NamedTuple):
    """One rendered frame of a video."""

    camera: Camera
    world: tuple[WorldPerson, ...]
    people: tuple[CameraPerson, ...]
    poses2d: Float[np.ndarray, "P 3 18"]


def write_pw3d(job: MirrorJob[Pw3dParams], root: Path) -> list[dict[str, Any]]:
    """Render the mirror.

    Args:
        job: the section `mirror_pw3d`, the female and the male body, the distribution of poses.
        root: folder of the mirror; `sequenceFiles/<subset>/` and `imageFiles/` are made in it.

    Returns:
        The rows of the truth: people with a detection, in frames whose camera is marked as valid.
    """
    for folder in (root / "sequenceFiles" / job.params.subset, root / "imageFiles"):
        folder.mkdir(parents=True)
    tasks = [(number, root) for number in range(job.params.n_sequences)]
    return [row for rows in run_tasks(job, _render_video, tasks) for row in rows]


def sequence_name(number: int) -> str:
    """A name in the style of the original's, another for each number."""
    place, activity = _PLACES[number % len(_PLACES)], _ACTIVITIES[number // len(_PLACES) % len(_ACTIVITIES)]
    return f"{place}_{activity}_{number:02d}"


def _render_video(job: MirrorJob[Pw3dParams], task: tuple[int, Path]) -> list[dict[str, Any]]:
    """Render one video, write its pictures and its sequence file."""
    (number, root), (bodies, mixture) = task, job.read_inputs()
    params, rng = job.params, np.random.default_rng([job.params.seed, _STREAM, number])
    name = sequence_name(number)
    folder = root / "imageFiles" / name
    folder.mkdir()
    states, people = _sample_people(params, bodies, mixture, rng)
    frames = []
    for index, (camera, environment) in enumerate(_sample_cameras(params, states[0], people[0][0], rng)):
        world = tuple(person[index] for person in people)
        scene = environment.scene(camera, world)
        picture = render_scene(scene, bodies, rng)
        found = []
        for person in scene.people:
            joints = project_joints(person, camera, picture).openpose
            detection = sample_detection(joints, camera.size, params.detector, rng)[_TO_OPENPOSE18].T
            found.append(detection * (rng.random() >= params.detector.person_miss))
        save_jpeg(folder / f"image_{index:05d}.jpg", picture.image, params.picture, rng)
        frames.append(_VideoFrame(camera, world, scene.people, np.stack(found)))
    is_valid = rng.random(params.n_frames) >= params.invalid_camera
    content = _sequence_file(name, frames, is_valid)
    (root / "sequenceFiles" / params.subset / f"{name}.pkl").write_bytes(dumps_python2(content))
    return _truth(f"pw3d_{params.subset}", name, frames, is_valid)


def _sample_people(
    params: Pw3dParams, bodies: BodySet, mixture: Mixture, rng: np.random.Generator
) -> tuple[list[list[PersonState]], list[list[WorldPerson]]]:
    """States and posed bodies of one or two people: lists over people of lists over frames."""
    starts = [np.zeros(2)]
    if rng.random() < params.second_person:
        starts.append(sample_companion_place(rng))
    identities = [sample_identity(rng, bodies, params.people) for _ in starts]
    states = [
        sample_motion(rng, mixture, params.n_frames, params.frames_per_pose, params.people, start)
        for start in starts
    ]
    people = [
        [place_person(bodies, identity, state) for state in motion]
        for identity, motion in zip(identities, states, strict=True)
    ]
    return states, people


def _sample_cameras(
    params: Pw3dParams, motion: Sequence[PersonState], first: WorldPerson, rng: np.random.Generator
) -> Iterator[tuple[Camera, Environment]]:
    """Camera and environment of every frame: the camera follows the first person and drifts."""
    size = sample_size(rng, params.picture)
    start, end = (sample_viewpoint(rng, params.camera, size, first.middle) for _ in range(2))
    end = end._replace(focal_px=start.focal_px)
    environment = sample_environment(rng, params.picture, start.camera(size), first.middle)
    for number, state in enumerate(motion):
        viewpoint = start.interpolate(end, number / (len(motion) - 1))
        x, z = state.place
        yield viewpoint.moved(np.array([x, 0.0, z])).camera(size), environment


def _sequence_file(
    name: str, frames: Sequence[_VideoFrame], is_valid: Bool[np.ndarray, " F"]
) -> dict[str, Any]:
    """The content of a sequence file, under the original's keys; lists run over people."""
    cameras = np.tile(np.eye(4), (len(frames), 1, 1))
    for number, frame in enumerate(frames):
        # A camera that is not valid keeps the pose of the frame before.
        known = frame.camera if is_valid[number] or number == 0 else frames[number - 1].camera
        cameras[number, :3, :3], cameras[number, :3, 3] = known.rotation, known.translation
    first = frames[0]
    people = range(len(first.world))
    focal, center = first.camera.focal_px, first.camera.center_px
    return {
        "sequence": name,
        "genders": [_LETTER[person.identity.gender] for person in first.world],
        "betas": [person.identity.betas.astype(np.float64) for person in first.world],
        "poses": [_over_frames(frames, "pose", person) for person in people],
        "trans": [_over_frames(frames, "trans", person) for person in people],
        "jointPositions": [
            _over_frames(frames, "joints24", person).reshape(len(frames), 72) for person in people
        ],
        "poses2d": [np.stack([frame.poses2d[person] for frame in frames]) for person in people],
        "campose_valid": [is_valid.astype(np.int64) for _ in people],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]]),
        "img_frame_ids": np.arange(len(frames)),
    }


def _over_frames(frames: Sequence[_VideoFrame], field: str, person: int) -> Float[np.ndarray, "F ..."]:
    return np.stack([np.asarray(getattr(frame.world[person], field), dtype=np.float64) for frame in frames])


def _truth(
    split: str, name: str, frames: Sequence[_VideoFrame], is_valid: Bool[np.ndarray, " F"]
) -> list[dict[str, Any]]:
    rows = []
    for number, frame in enumerate(frames):
        if not is_valid[number]:
            continue
        for index, person in enumerate(frame.people):
            if (frame.poses2d[index, 2] > 0).any():
                key = make_id(split, f"imageFiles/{name}/image_{number:05d}.jpg", index)
                rows.append(truth_row(key, person, frame.camera))
    return rows


def dumps_python2(value: Pickled) -> bytes:
    """Pickle (protocol 2) of arrays of numbers, ASCII text, whole numbers, lists and dictionaries of them.

    Raises:
        TypeError: the value holds something else.
    """
    return pickle.PROTO + b"\x02" + _emit(value) + pickle.STOP


def _emit(value: Pickled) -> bytes:
    if isinstance(value, np.ndarray):
        return _emit_array(value)
    if isinstance(value, str):
        return _emit_string(value.encode("ascii"))
    if isinstance(value, bytes):
        return _emit_string(value)
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, Mapping):
        items = b"".join(_emit(key) + _emit(item) for key, item in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    if isinstance(value, Sequence):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_emit, value)) + pickle.APPENDS
    raise TypeError(f"cannot pickle {type(value).__name__}")


def _emit_string(data: bytes) -> bytes:
    return pickle.BINSTRING + struct.pack("<i", len(data)) + data


def _emit_array(array: np.ndarray) -> bytes:
    """As `ndarray.__reduce__` does: an empty array, then its state."""
    empty = _global("numpy.core.multiarray", "_reconstruct") + _global("numpy", "ndarray")
    empty += _TUPLE_OF_ZERO + _emit_string(b"b") + pickle.TUPLE3 + pickle.REDUCE
    shape = pickle.MARK + b"".join(map(_emit, array.shape)) + pickle.TUPLE
    content = _emit(1) + shape + _emit_dtype(array.dtype) + pickle.NEWFALSE + _emit_string(array.tobytes())
    return empty + pickle.MARK + content + pickle.TUPLE + pickle.BUILD


def _emit_dtype(dtype: np.dtype) -> bytes:
    kind = _emit_string(dtype.str[1:].encode("ascii")) + _emit(0) + _emit(1)
    order = _emit_string(dtype.str[:1].encode("ascii"))
    nothing, unset = pickle.NONE * 3, _emit(-1) * 2
    state = pickle.MARK + _emit(3) + order + nothing + unset + _emit(0) + pickle.TUPLE
    return _global("numpy", "dtype") + kind + pickle.TUPLE3 + pickle.REDUCE + state + pickle.BUILD


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii")
