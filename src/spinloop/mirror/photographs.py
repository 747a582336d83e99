"""Single pictures of one or two people, as the mirrors of photographs have them.

Every picture has a random generator of its own. Only the poses are sampled for `BATCH` pictures together.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import JointSet
from spinloop.keypoints.noise import inside_image, sample_annotation, sample_detections
from spinloop.keypoints.openpose import write_openpose as write_detections
from spinloop.mirror.camera import sample_companion_place, sample_size, sample_viewpoint
from spinloop.mirror.job import MirrorJob, run_tasks
from spinloop.mirror.people import (
    BodySet,
    PersonState,
    WorldPerson,
    place_person,
    sample_identity,
    sample_root,
)
from spinloop.mirror.scene import (
    Picture,
    ProjectedJoints,
    Scene,
    project_joints,
    render_scene,
    sample_environment,
)
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import LspetParams, MpiiParams, PhotosParams

BATCH = 32
"""Pictures whose poses are sampled together, and which one process renders at a time."""
LEAST_AREA_PX = 60
"""People who show fewer pixels than this are not annotated."""
_POSES, _PICTURE = 0, 1

P = TypeVar("P", bound=PhotosParams)
Result = TypeVar("Result")
SampleCrowd = Callable[[P, int, BodySet, Mixture], Sequence[WorldPerson]]
"""People in the background of a picture, from the mirror's parameters and the picture's number."""


class RenderedPhotograph(NamedTuple):
    """A picture with its scene and the true joints."""

    number: int
    """0-based."""
    scene: Scene
    picture: Picture
    joints: tuple[ProjectedJoints, ...]
    """Of every person of the scene."""
    n_in_front: int
    """How many of the people are not background; they come first."""
    bodies: BodySet
    rng: np.random.Generator
    """The picture's own generator, from here on for the file, the detector and the annotator."""


def render_photographs(
    job: MirrorJob[P],
    stream: int,
    numbers: range,
    folders: Sequence[Path],
    save: Callable[..., Result],
    sample_crowd: SampleCrowd[P] | None = None,
    description: str = "rendering",
) -> Iterator[Result]:
    """Render pictures and write their files, on several processes; results in the order of the pictures.

    Args:
        job: the mirror.
        stream: second entry of every seed; every mirror has its own.
        numbers: of the pictures, consecutive.
        folders: of the files; they are made.
        save: `save(photograph, params, *folders)` writes the files of a picture; a module's function.
        sample_crowd: people in the background; none if left out; a module's function.
        description: for the progress bar.
    """
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    render = partial(_render_batch, stream, tuple(folders), save, sample_crowd)
    for results in run_tasks(job, render, batches, description):
        yield from results


def _render_batch(
    stream: int,
    folders: tuple[Path, ...],
    save: Callable[..., Result],
    sample_crowd: SampleCrowd[P] | None,
    job: MirrorJob[P],
    numbers: range,
) -> list[Result]:
    bodies, mixture = job.read_inputs()
    params = job.params
    # Poses for a whole batch, so that the last batch of a short run equals the same one of a longer run.
    seed = [params.seed, stream, _POSES, numbers.start]
    poses = mixture.sample(2 * BATCH, np.random.default_rng(seed)).reshape(BATCH, 2, -1)
    results = []
    for number in numbers:
        rng = np.random.default_rng([params.seed, stream, _PICTURE, number])
        crowd = sample_crowd(params, number, bodies, mixture) if sample_crowd else ()
        photograph = _render(params, number, poses[number - numbers.start], bodies, rng, crowd)
        results.append(save(photograph, params, *folders))
    return results


def _render(
    params: P,
    number: int,
    poses: Float[np.ndarray, "2 69"],
    bodies: BodySet,
    rng: np.random.Generator,
    crowd: Sequence[WorldPerson],
) -> RenderedPhotograph:
    """One picture of one or two people and a crowd behind them; the camera aims at the first."""
    places = [np.zeros(2)]
    if rng.random() < params.second_person:
        places.append(sample_companion_place(rng))
    people: list[WorldPerson] = []
    for pose, place in zip(poses, places, strict=False):
        identity = sample_identity(rng, bodies, params.people)
        state = PersonState(sample_root(rng, params.people), pose, place)
        people.append(place_person(bodies, identity, state))
    middle = people[0].middle
    size = sample_size(rng, params.picture)
    camera = sample_viewpoint(rng, params.camera, size, middle).camera(size)
    scene = sample_environment(rng, params.picture, camera, middle).scene(camera, [*people, *crowd])
    picture = render_scene(scene, bodies, rng)
    joints = tuple(project_joints(person, camera, picture) for person in scene.people)
    return RenderedPhotograph(number, scene, picture, joints, len(people), bodies, rng)


def write_openpose(path: Path, photograph: RenderedPhotograph, params: PhotosParams) -> None:
    """Write the detections of a picture in OpenPose's format."""
    people = [joints.openpose for joints in photograph.joints]
    detections = sample_detections(people, photograph.scene.camera.size, params.detector, photograph.rng)
    write_detections(path, detections)


def annotate_joints(
    photograph: RenderedPhotograph, joints: ProjectedJoints, names: JointSet, params: LspetParams | MpiiParams
) -> tuple[Float[np.ndarray, "J 2"], Bool[np.ndarray, " J"]]:
    """Positions that an annotator marks (px), and which of them are annotated.

    Args:
        photograph: the picture.
        joints: of one of its people.
        names: of the annotated joints (of `joints.COMMON24`).
        params: noise, and how many hidden joints are left out.
    """
    rng = photograph.rng
    places = sample_annotation(joints.pixels, names, params.annotation_noise, rng)
    is_known = joints.visible(names) | (rng.random(len(names)) >= params.hidden_not_annotated)
    return places, is_known & inside_image(places, photograph.scene.camera.size)
