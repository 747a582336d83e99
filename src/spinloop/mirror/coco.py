"""A mirror of COCO's person keypoints: photographs, one annotation file, OpenPose files beside."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spinloop.annotations.record import make_id
from spinloop.files import write_json
from spinloop.mirror.coco_annotation import annotate, annotate_crowd, annotation_file
from spinloop.mirror.crowd import sample_crowd
from spinloop.mirror.people import Cast, Stance
from spinloop.mirror.photographs import (
    LEAST_AREA_PX,
    Photograph,
    Piece,
    photographs,
    pieces,
    write_openpose,
)
from spinloop.mirror.pool import Studio, run_pieces
from spinloop.mirror.scene import encode_jpeg
from spinloop.mirror.truth import truth_row
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import CocoParams

_MIRROR = 1  # second entry of every seed; 3DPW's mirror has 2
_CROWD = 2
# Annotations of crowds have numbers of their own in COCO, 900 and nine digits.
_FIRST_CROWD_ID = 900_000_000_000


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
        images: root of the mirror; a folder named like the subset is made in it.
        openpose: root of the OpenPose files; likewise.
        workers: processes.

    Yields:
        A piece's pictures, in order.
    """
    folders = images / params.subset, openpose / params.subset
    tasks = pieces(0, params.n_images, params, studio, *folders)
    yield from run_pieces(draw_piece, tasks, workers)


def save_annotations(root: Path, drawn: Sequence[Drawn], params: CocoParams) -> None:
    """Write the annotation file."""
    annotations = [annotation for one in drawn for annotation in one.annotations]
    content = annotation_file([one.image for one in drawn], annotations, int(params.subset[-4:]))
    write_json(root / "annotations" / f"person_keypoints_{params.subset}.json", content)


def draw_piece(piece: Piece[CocoParams]) -> list[Drawn]:
    """Draw some pictures and write their files."""

    def behind(number: int, cast: Cast, mixture: Mixture) -> Sequence[Stance]:
        # A generator of its own, so that crowds leave all other pictures as they are.
        rng = np.random.default_rng([piece.params.seed, _MIRROR, _CROWD, number])
        return sample_crowd(piece.params, cast, mixture, rng)

    return [_write(piece, photograph) for photograph in photographs(piece, _MIRROR, behind)]


def _write(piece: Piece[CocoParams], photograph: Photograph) -> Drawn:
    params, rng, scene = piece.params, photograph.rng, photograph.scene
    # Ids that are no row numbers: whoever joins files by row is found out.
    image_id = 7 * (photograph.number + 1)
    name = f"COCO_{params.subset}_{image_id:012d}" if params.subset.endswith("2014") else f"{image_id:012d}"
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    (piece.images / f"{name}.jpg").write_bytes(encode_jpeg(photograph.picture.image, quality))
    write_openpose(piece.beside / f"{name}_keypoints.json", photograph, params)

    height, width = scene.camera.size
    image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1}
    drawn = Drawn(image, [], [])
    for number, (person, mark) in enumerate(zip(scene.people, photograph.marks, strict=True)):
        mask = photograph.picture.owner == number
        if number >= photograph.n_in_front or mask.sum() < LEAST_AREA_PX:
            continue
        annotation_id = 10 * image_id + number
        head = {"id": annotation_id, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        drawn.annotations.append(head | annotate(mark, mask, params, rng))
        key = make_id(f"coco_{params.subset[:-4]}", f"{params.subset}/{name}.jpg", annotation_id)
        drawn.truth.append(truth_row(key, person, scene.camera))
    crowd = photograph.picture.owner >= photograph.n_in_front
    if crowd.any():
        head = {"id": _FIRST_CROWD_ID + image_id, "image_id": image_id, "category_id": 1, "iscrowd": 1}
        drawn.annotations.append(head | annotate_crowd(crowd))
    return drawn
