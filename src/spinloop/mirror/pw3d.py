"""Pickles as Python 2 wrote them, which is what 3DPW's files are.

Two things set them apart from what Python 3 writes under protocol 2: text and the bytes of arrays are plain
byte strings (Python 2's `str`), which a reader must decode as latin-1, and NumPy's functions stand under the
names that they had then.

A mirror of 3DPW: videos of one or two people before a moving camera, with their 3D truth.
"""

import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import OPENPOSE18, OPENPOSE25, index_map
from spinloop.keypoints.simulated import detect_person
from spinloop.mirror.camera import Camera, View, sample_companion_place, sample_size, sample_view
from spinloop.mirror.people import (
    Cast,
    Character,
    Frame,
    Person,
    Stance,
    sample_character,
    sample_motion,
    stand,
    truth_row,
)
from spinloop.mirror.photographs import Studio, open_studio, run_pieces
from spinloop.mirror.scene import Setting, draw, look_for_joints, middle_of, sample_setting
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import Pw3dParams
from spinloop.tables.images import encode_jpeg
from spinloop.tables.records import make_id

Pickled = np.ndarray | str | bytes | int | Sequence["Pickled"] | Mapping[str, "Pickled"]

_TUPLE_OF_ZERO = pickle.BININT1 + b"\0" + pickle.TUPLE1


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
    """What `ndarray.__reduce__` and `__setstate__` agree on: an empty array, then its contents."""
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


_MIRROR = 2  # second entry of every seed; COCO's mirror has 1
_PLACES = ("courtyard", "downtown", "office", "park", "square", "station")
_DEEDS = ("crossing", "dancing", "meeting", "running", "stretching", "walking")
_TO_OPENPOSE18 = list(index_map(OPENPOSE25, OPENPOSE18))
_LETTER = {"female": "f", "male": "m"}


class Take(NamedTuple):
    """One video to be made."""

    number: int
    params: Pw3dParams
    studio: Studio
    root: Path
    """Root of the mirror; its two folders exist."""


class _Shot(NamedTuple):
    """One frame of a video, as drawn."""

    camera: Camera
    stances: tuple[Stance, ...]
    people: tuple[Person, ...]
    poses2d: Float[np.ndarray, "P 3 18"]


def write_pw3d(
    params: Pw3dParams, studio: Studio, root: Path, workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Make all videos.

    Args:
        params: the section `mirror_pw3d`.
        studio: the female and the male body, and the pose mixture.
        root: root of the mirror; `sequenceFiles/<subset>/` and `imageFiles/` are made in it.
        workers: processes.

    Yields:
        The rows of the truth of one video: frames whose camera is marked as valid, people with a detection.
    """
    for folder in (root / "sequenceFiles" / params.subset, root / "imageFiles"):
        folder.mkdir(parents=True)
    takes = [Take(index, params, studio, root) for index in range(params.n_sequences)]
    yield from run_pieces(make_video, takes, workers)


def sequence_name(index: int) -> str:
    """A name of the original's kind, one for each index."""
    place, deed = _PLACES[index % len(_PLACES)], _DEEDS[index // len(_PLACES) % len(_DEEDS)]
    return f"{place}_{deed}_{index:02d}"


def make_video(take: Take) -> list[dict[str, Any]]:
    """Draw one video, write its pictures and its sequence file."""
    cast, mixture = open_studio(take.studio)
    params, rng = take.params, np.random.default_rng([take.params.seed, _MIRROR, take.number])
    name = sequence_name(take.number)
    folder = take.root / "imageFiles" / name
    folder.mkdir()
    characters, motions = _sample_people(params, cast, mixture, rng)
    shots = []
    for number, (camera, setting, stances) in enumerate(_film(params, cast, characters, motions, rng)):
        shot, jpeg = _shoot(params, cast, camera, setting, stances, rng)
        (folder / f"image_{number:05d}.jpg").write_bytes(jpeg)
        shots.append(shot)
    is_valid = rng.random(params.n_frames) >= params.invalid_camera
    content = _sequence_file(name, shots, is_valid)
    (take.root / "sequenceFiles" / params.subset / f"{name}.pkl").write_bytes(dumps_python2(content))
    return _truth(f"pw3d_{params.subset}", name, shots, is_valid)


def _sample_people(
    params: Pw3dParams, cast: Cast, mixture: Mixture, rng: np.random.Generator
) -> tuple[list[Character], list[list[Frame]]]:
    n_poses = max(2, 1 + round(params.n_frames / params.frames_per_pose))
    starts = [np.zeros(2)]
    if rng.random() < params.second_person:
        starts.append(sample_companion_place(rng))
    characters = [sample_character(rng, sorted(cast.files), params.people) for _ in starts]
    motions = [
        sample_motion(rng, mixture.sample(n_poses, rng), params.n_frames, start, params.people)
        for start in starts
    ]
    return characters, motions


def _film(
    params: Pw3dParams,
    cast: Cast,
    characters: Sequence[Character],
    motions: Sequence[Sequence[Frame]],
    rng: np.random.Generator,
) -> Iterator[tuple[Camera, Setting, tuple[Stance, ...]]]:
    """Camera, place and people of every frame: the camera follows the first person and drifts."""
    size = sample_size(rng, params.picture)
    frames = list(zip(*motions, strict=True))
    first = _stand_all(cast, characters, frames[0])
    views = [sample_view(rng, params.camera, size, middle_of(first[0])) for _ in range(2)]
    start, end = views[0], views[1]._replace(focal_px=views[0].focal_px)
    setting = sample_setting(rng, params.picture, start.camera(size), middle_of(first[0]))
    for number, frame in enumerate(frames):
        stances = _stand_all(cast, characters, frame)
        view: View = start.blend(end, number / (len(frames) - 1))
        x, z = frame[0].place
        yield view.moved(np.array([x, 0.0, z])).camera(size), setting, stances


def _stand_all(cast: Cast, characters: Sequence[Character], frame: Sequence[Frame]) -> tuple[Stance, ...]:
    return tuple(
        stand(cast, character, moment.root, moment.body, moment.place)
        for character, moment in zip(characters, frame, strict=True)
    )


def _shoot(
    params: Pw3dParams,
    cast: Cast,
    camera: Camera,
    setting: Setting,
    stances: tuple[Stance, ...],
    rng: np.random.Generator,
) -> tuple[_Shot, bytes]:
    scene = setting.scene(camera, stances)
    picture = draw(scene, cast, rng)
    found = []
    for person in scene.people:
        seen = look_for_joints(person, camera, picture).openpose
        detection = detect_person(seen, camera.size, params.detector, rng)[_TO_OPENPOSE18].T
        found.append(detection * (rng.random() >= params.detector.person_miss))
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    return _Shot(camera, stances, scene.people, np.stack(found)), encode_jpeg(picture.image, quality)


def _sequence_file(name: str, shots: Sequence[_Shot], is_valid: Bool[np.ndarray, " F"]) -> dict[str, Any]:
    """The content of a sequence file, under the original's keys; lists run over people."""
    cameras = np.tile(np.eye(4), (len(shots), 1, 1))
    for number, shot in enumerate(shots):
        # A camera that could not be found keeps the pose of the frame before.
        known = shot.camera if is_valid[number] or number == 0 else shots[number - 1].camera
        cameras[number, :3, :3], cameras[number, :3, 3] = known.rotation, known.translation
    first = shots[0]
    people = range(len(first.stances))
    focal, center = first.camera.focal_px, first.camera.center_px
    return {
        "sequence": name,
        "genders": [_LETTER[stance.character.gender] for stance in first.stances],
        "betas": [stance.character.betas.astype(np.float64) for stance in first.stances],
        "poses": [_over_frames(shots, "pose", person) for person in people],
        "trans": [_over_frames(shots, "trans", person) for person in people],
        "jointPositions": [
            _over_frames(shots, "joints24", person).reshape(len(shots), 72) for person in people
        ],
        "poses2d": [np.stack([shot.poses2d[person] for shot in shots]) for person in people],
        "campose_valid": [is_valid.astype(np.int64) for _ in people],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]]),
        "img_frame_ids": np.arange(len(shots)),
    }


def _over_frames(shots: Sequence[_Shot], field: str, person: int) -> Float[np.ndarray, "F ..."]:
    return np.stack([np.asarray(getattr(shot.stances[person], field), dtype=np.float64) for shot in shots])


def _truth(
    split: str, name: str, shots: Sequence[_Shot], is_valid: Bool[np.ndarray, " F"]
) -> list[dict[str, Any]]:
    rows = []
    for number, shot in enumerate(shots):
        if not is_valid[number]:
            continue
        for index, person in enumerate(shot.people):
            if (shot.poses2d[index, 2] > 0).any():
                key = make_id(split, f"imageFiles/{name}/image_{number:05d}.jpg", index)
                rows.append(truth_row(key, person, shot.camera))
    return rows
