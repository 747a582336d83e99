"""A mirror of COCO 2014's person keypoints: photographs, one annotation file, OpenPose files beside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spinloop.annotations.record import make_id
from spinloop.mirror.coco_annotation import annotate
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
from spinloop.params.mirror import CocoParams

SPLIT = "coco_train"
FOLDER = "train2014"
ANNOTATIONS = "annotations/person_keypoints_train2014.json"
_MIRROR = 1  # second entry of every seed; 3DPW's mirror has 2


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
        openpose: root of the OpenPose files; `train2014/` is made in it.
        workers: processes.

    Yields:
        A piece's pictures, in order.
    """
    tasks = pieces(0, params.n_images, params, studio, images / FOLDER, openpose / FOLDER)
    yield from run_pieces(draw_piece, tasks, workers)


def draw_piece(piece: Piece[CocoParams]) -> list[Drawn]:
    """Draw some pictures and write their files."""
    return [_write(piece, photograph) for photograph in photographs(piece, _MIRROR)]


def _write(piece: Piece[CocoParams], photograph: Photograph) -> Drawn:
    params, rng, scene = piece.params, photograph.rng, photograph.scene
    # Ids that are no row numbers: whoever joins files by row is found out.
    image_id = 7 * (photograph.number + 1)
    name = f"COCO_train2014_{image_id:012d}"
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    (piece.images / f"{name}.jpg").write_bytes(encode_jpeg(photograph.picture.image, quality))
    write_openpose(piece.beside / f"{name}_keypoints.json", photograph, params)

    height, width = scene.camera.size
    image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1}
    drawn = Drawn(image, [], [])
    for number, (person, mark) in enumerate(zip(scene.people, photograph.marks, strict=True)):
        mask = photograph.picture.owner == number
        if mask.sum() < LEAST_AREA_PX:
            continue
        annotation_id = 10 * image_id + number
        head = {"id": annotation_id, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        drawn.annotations.append(head | annotate(mark, mask, params, rng))
        key = make_id(SPLIT, f"{FOLDER}/{name}.jpg", annotation_id)
        drawn.truth.append(truth_row(key, person, scene.camera))
    return drawn
