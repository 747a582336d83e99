"""A mirror of COCO 2014's person keypoints: photographs, one annotation file, OpenPose files beside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from spinloop.annotations.record import make_id
from spinloop.mirror.coco_annotation import annotate
from spinloop.mirror.detector import detect, openpose_json
from spinloop.mirror.framing import sample_companion_place, sample_size, sample_view
from spinloop.mirror.people import Cast, sample_character, sample_root, stand
from spinloop.mirror.pool import PIECE, Studio, open_studio, run_pieces
from spinloop.mirror.scene import Scene, draw, encode_jpeg
from spinloop.mirror.staging import look_for_joints, middle_of, sample_setting
from spinloop.mirror.truth import truth_row
from spinloop.params.mirror import CocoParams

SPLIT = "coco_train"
FOLDER = "train2014"
ANNOTATIONS = "annotations/person_keypoints_train2014.json"
_MIRROR = 1  # second entry of every seed; 3DPW's mirror has 2
_POSES, _PICTURE = 0, 1
# Whoever shows fewer pixels than this is not annotated, as in COCO's crowds.
_LEAST_AREA_PX = 60


class Piece(NamedTuple):
    """Pictures first to last (not included)."""

    first: int
    last: int
    params: CocoParams
    studio: Studio
    images: Path
    """Folder of the pictures; it exists."""
    detections: Path
    """Folder of the OpenPose files; it exists."""


class Drawn(NamedTuple):
    """What a picture adds to the annotation file and to the truth."""

    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    truth: list[dict[str, Any]]


def write_coco(
    params: CocoParams, studio: Studio, images: Path, openpose: Path, workers: int
) -> Iterator[list[Drawn]]:
    """Draw all pictures.

    Args:
        params: the section `mirror_coco`.
        studio: the neutral body and the pose mixture.
        images: root of the mirror; `train2014/` is made in it.
        openpose: root of the OpenPose files; `coco/train2014/` is made in it.
        workers: processes.

    Yields:
        A piece's pictures, in order.
    """
    folders = images / FOLDER, openpose / "coco" / FOLDER
    for folder in folders:
        folder.mkdir(parents=True)
    starts = range(0, params.n_images, PIECE)
    tasks = [Piece(first, min(first + PIECE, params.n_images), params, studio, *folders) for first in starts]
    yield from run_pieces(draw_piece, tasks, workers)


def draw_piece(piece: Piece) -> list[Drawn]:
    """Draw some pictures and write their files."""
    cast, mixture = open_studio(piece.studio)
    # Always a whole piece's poses, so that the last piece of a short run equals the same one of a long run.
    seed = [piece.params.seed, _MIRROR, _POSES, piece.first]
    poses = mixture.sample(2 * PIECE, np.random.default_rng(seed)).reshape(PIECE, 2, -1)
    return [
        _draw_one(piece, index, poses[index - piece.first], cast) for index in range(piece.first, piece.last)
    ]


def _draw_one(piece: Piece, index: int, poses: Float[np.ndarray, "2 69"], cast: Cast) -> Drawn:
    params = piece.params
    rng = np.random.default_rng([params.seed, _MIRROR, _PICTURE, index])
    scene = _sample_scene(params, poses, cast, rng)
    picture = draw(scene, cast, rng)
    # Ids that are no row numbers: whoever joins files by row is found out.
    image_id = 7 * (index + 1)
    name = f"COCO_train2014_{image_id:012d}"
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    (piece.images / f"{name}.jpg").write_bytes(encode_jpeg(picture.image, quality))

    marks = [look_for_joints(person, scene.camera, picture) for person in scene.people]
    detections = detect([mark.openpose for mark in marks], scene.camera.size, params.detector, rng)
    text = json.dumps(openpose_json(detections), separators=(",", ":"))
    (piece.detections / f"{name}_keypoints.json").write_text(text, encoding="utf-8")

    height, width = scene.camera.size
    image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1}
    drawn = Drawn(image, [], [])
    for number, (person, mark) in enumerate(zip(scene.people, marks, strict=True)):
        mask = picture.owner == number
        if mask.sum() < _LEAST_AREA_PX:
            continue
        annotation_id = 10 * image_id + number
        head = {"id": annotation_id, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        drawn.annotations.append(head | annotate(mark, mask, params, rng))
        key = make_id(SPLIT, f"{FOLDER}/{name}.jpg", annotation_id)
        drawn.truth.append(truth_row(key, person, scene.camera))
    return drawn


def _sample_scene(
    params: CocoParams, poses: Float[np.ndarray, "2 69"], cast: Cast, rng: np.random.Generator
) -> Scene:
    """One or two people somewhere."""
    places = [np.zeros(2)]
    if rng.random() < params.second_person:
        places.append(sample_companion_place(rng))
    stances = []
    for pose, place in zip(poses, places, strict=False):
        character = sample_character(rng, sorted(cast.files), params.people)
        stances.append(stand(cast, character, sample_root(rng, params.people), pose, place))
    middle = middle_of(stances[0])
    size = sample_size(rng, params.picture)
    camera = sample_view(rng, params.camera, size, middle).camera(size)
    return sample_setting(rng, params.picture, camera, middle).scene(camera, stances)
