"""Work in pieces of a fixed size, on several processes, with results in order.

A piece, not a picture, is what a process takes, because the poses of a piece are drawn together. Its size is
a constant: it decides what is drawn, the number of processes never does.

Pictures one by one, as the mirrors of single photographs take them, each with a generator of its own.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float

from spinloop.body.files import load_body
from spinloop.body.model import Engine
from spinloop.keypoints.simulated import detect
from spinloop.keypoints.simulated import write_openpose as write_detections
from spinloop.mirror.camera import sample_companion_place, sample_size, sample_view
from spinloop.mirror.people import Cast, Stance, sample_character, sample_root, stand
from spinloop.mirror.scene import Marks, Picture, Scene, draw, look_for_joints, middle_of, sample_setting
from spinloop.motion.mixture import Mixture, load_mixture
from spinloop.params.mirror import PhotosParams

PIECE = 32

Task = TypeVar("Task")
Result = TypeVar("Result")


class Studio(NamedTuple):
    """The files that every process needs, and what poses the bodies."""

    bodies: tuple[Path, ...]
    mixture: Path
    engine: Engine


@lru_cache(maxsize=1)
def open_studio(studio: Studio) -> tuple[Cast, Mixture]:
    """The bodies and the poses, read once per process."""
    cast = Cast.of([load_body(path) for path in studio.bodies], studio.engine)
    return cast, load_mixture(studio.mixture)


def run_pieces(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of `function` on each task, in the tasks' order.

    Args:
        function: a module's function; it and the tasks must be picklable.
        tasks: one per piece.
        workers: processes; 1 works in this one.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(tasks)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap(function, tasks)


P = TypeVar("P", bound=PhotosParams)

_POSES, _PICTURE = 0, 1
LEAST_AREA_PX = 60
"""Whoever shows fewer pixels than this is not annotated."""


class Photograph(NamedTuple):
    """A picture with all that is known about it."""

    number: int
    """0-based."""
    scene: Scene
    picture: Picture
    marks: tuple[Marks, ...]
    """Of every person of the scene."""
    n_in_front: int
    """How many of the scene's people are not background; they come first."""
    cast: Cast
    rng: np.random.Generator
    """To go on with: for the file, the detector and the annotator."""


@dataclass(frozen=True)
class Piece(Generic[P]):
    """Pictures `first` to `last` (not included) of a mirror, and where their files go."""

    first: int
    last: int
    params: P
    studio: Studio
    images: Path
    """Folder of the pictures; it exists."""
    beside: Path
    """Folder of what else is made of each picture, OpenPose's files or masks; it exists."""


def pieces(first: int, last: int, params: P, studio: Studio, images: Path, beside: Path) -> list[Piece[P]]:
    """Pictures `first` to `last` (not included) in pieces of the fixed size; the folders are made."""
    for folder in (images, beside):
        folder.mkdir(parents=True, exist_ok=True)
    starts = range(first, last, PIECE)
    return [Piece(start, min(start + PIECE, last), params, studio, images, beside) for start in starts]


def photographs(
    piece: Piece[P], mirror: int, behind: Callable[[int, Cast, Mixture], Sequence[Stance]] | None = None
) -> Iterator[Photograph]:
    """Take the pictures of a piece.

    Args:
        piece: which.
        mirror: the mirror's number, second entry of every seed.
        behind: people in the background of a picture, by its number; nobody if not given.
    """
    cast, mixture = open_studio(piece.studio)
    # Always a whole piece's poses, so that the last piece of a short run equals the same one of a long run.
    seed = [piece.params.seed, mirror, _POSES, piece.first]
    poses = mixture.sample(2 * PIECE, np.random.default_rng(seed)).reshape(PIECE, 2, -1)
    for number in range(piece.first, piece.last):
        rng = np.random.default_rng([piece.params.seed, mirror, _PICTURE, number])
        others = behind(number, cast, mixture) if behind else ()
        yield take(piece.params, number, poses[number - piece.first], cast, rng, others)


def take(
    params: P,
    number: int,
    poses: Float[np.ndarray, "2 69"],
    cast: Cast,
    rng: np.random.Generator,
    behind: Sequence[Stance] = (),
) -> Photograph:
    """One picture of one or two people somewhere; the camera looks at the first.

    Args:
        params: of the mirror.
        number: of the picture.
        poses: of those two.
        cast: the bodies.
        rng: the picture's own generator.
        behind: further people, who come last in the scene.
    """
    places = [np.zeros(2)]
    if rng.random() < params.second_person:
        places.append(sample_companion_place(rng))
    stances: list[Stance] = []
    for pose, place in zip(poses, places, strict=False):
        character = sample_character(rng, sorted(cast.files), params.people)
        stances.append(stand(cast, character, sample_root(rng, params.people), pose, place))
    middle = middle_of(stances[0])
    size = sample_size(rng, params.picture)
    camera = sample_view(rng, params.camera, size, middle).camera(size)
    scene = sample_setting(rng, params.picture, camera, middle).scene(camera, [*stances, *behind])
    picture = draw(scene, cast, rng)
    marks = tuple(look_for_joints(person, camera, picture) for person in scene.people)
    return Photograph(number, scene, picture, marks, len(stances), cast, rng)


def write_openpose(path: Path, photograph: Photograph, params: PhotosParams) -> None:
    """Write the file that OpenPose would make of a picture."""
    seen = [mark.openpose for mark in photograph.marks]
    detections = detect(seen, photograph.scene.camera.size, params.detector, photograph.rng)
    write_detections(path, detections)
