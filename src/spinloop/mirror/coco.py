"""What COCO's annotation file says of people: boxes, outlines, joints and their visibility.

A mirror of COCO's person keypoints: photographs, one annotation file, OpenPose files beside.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool

from spinloop.files import write_json
from spinloop.joints import COCO17
from spinloop.keypoints.simulated import COCO_FROM_MODEL49, COCO_SIGMA, inside_image
from spinloop.mirror.background import sample_crowd
from spinloop.mirror.people import Cast, Stance, truth_row
from spinloop.mirror.photographs import (
    LEAST_AREA_PX,
    Photograph,
    Piece,
    Studio,
    photographs,
    pieces,
    run_pieces,
    write_openpose,
)
from spinloop.mirror.scene import Marks
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import CocoParams
from spinloop.tables.images import encode_jpeg
from spinloop.tables.records import make_id

# Pairs of keypoints that are drawn as limbs, counted from 1, as in the original file.
_SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
    (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def annotation_file(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], year: int
) -> dict[str, Any]:
    """The content of `person_keypoints_<subset>.json`."""
    about = f"rendered mirror of COCO {year} person keypoints"
    info = {"description": about, "version": "1.0", "year": year}
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(COCO17),
        "skeleton": [list(pair) for pair in _SKELETON],
    }
    return {
        "info": info,
        "licenses": [{"id": 1, "name": "rendered; no photograph", "url": ""}],
        "images": list(images),
        "annotations": list(annotations),
        "categories": [category],
    }


def annotate(
    marks: Marks,
    mask: Bool[np.ndarray, "H W"],
    params: CocoParams,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """What an annotator would write about a person: box, outline, area, 17 joints with their visibility.

    Args:
        marks: the true joints.
        mask: the pixels that show the person; at least one.
        params: how exactly the annotator works.
        rng: generator.
    """
    area = int(mask.sum())
    order = list(COCO_FROM_MODEL49)
    error = rng.standard_normal((17, 2)) * (params.annotation_noise * COCO_SIGMA * np.sqrt(area))[:, None]
    points = marks.pixels[order] + error
    flag = np.where(marks.is_visible[order], 2, 1)
    left_out = (flag == 1) & (rng.random(17) < params.hidden_not_annotated)
    flag[left_out | ~inside_image(points, mask.shape) | (area < params.least_keypoints_px)] = 0
    keypoints = [
        value
        for (mark_x, mark_y), state in zip(points.tolist(), flag.tolist(), strict=True)
        for value in ((round(mark_x, 2), round(mark_y, 2), state) if state else (0, 0, 0))
    ]
    return {
        "bbox": _box(mask),
        "area": area,
        "num_keypoints": int((flag > 0).sum()),
        "keypoints": keypoints,
        "segmentation": _outline(mask),
    }


def annotate_crowd(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """What COCO says of a crowd: no joints, and a mask in runs, background and crowd in turn, by columns."""
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {
        "bbox": _box(mask),
        "area": int(mask.sum()),
        "num_keypoints": 0,
        "keypoints": [0] * (3 * len(COCO17)),
        "segmentation": {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)},
    }


def _box(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    """x, y, width and height of the mask."""
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]


def _outline(mask: Bool[np.ndarray, "H W"]) -> list[list[float]]:
    """Polygons around the mask, x and y in turn, as COCO writes them."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.reshape(-1).astype(np.float64).tolist() for contour in contours if len(contour) >= 3]


_MIRROR = 1  # second entry of every seed; 3DPW's mirror has 2
_CROWD = 2
# Annotations of crowds have numbers of their own in COCO, 900 and nine digits.
_FIRST_CROWD_ID = 900_000_000_000


class CocoPicture(NamedTuple):
    """What a picture adds to the annotation file and to the truth."""

    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    truth: list[dict[str, Any]]


def write_coco(
    params: CocoParams, studio: Studio, images: Path, openpose: Path, workers: int
) -> Iterator[list[CocoPicture]]:
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


def save_annotations(root: Path, drawn: Sequence[CocoPicture], params: CocoParams) -> None:
    """Write the annotation file."""
    annotations = [annotation for one in drawn for annotation in one.annotations]
    content = annotation_file([one.image for one in drawn], annotations, int(params.subset[-4:]))
    write_json(root / "annotations" / f"person_keypoints_{params.subset}.json", content)


def draw_piece(piece: Piece[CocoParams]) -> list[CocoPicture]:
    """Draw some pictures and write their files."""

    def behind(number: int, cast: Cast, mixture: Mixture) -> Sequence[Stance]:
        # A generator of its own, so that crowds leave all other pictures as they are.
        rng = np.random.default_rng([piece.params.seed, _MIRROR, _CROWD, number])
        return sample_crowd(piece.params, cast, mixture, rng)

    return [_write(piece, photograph) for photograph in photographs(piece, _MIRROR, behind)]


def _write(piece: Piece[CocoParams], photograph: Photograph) -> CocoPicture:
    params, rng, scene = piece.params, photograph.rng, photograph.scene
    # Ids that are no row numbers: whoever joins files by row is found out.
    image_id = 7 * (photograph.number + 1)
    name = f"COCO_{params.subset}_{image_id:012d}" if params.subset.endswith("2014") else f"{image_id:012d}"
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    (piece.images / f"{name}.jpg").write_bytes(encode_jpeg(photograph.picture.image, quality))
    write_openpose(piece.beside / f"{name}_keypoints.json", photograph, params)

    height, width = scene.camera.size
    image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1}
    drawn = CocoPicture(image, [], [])
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
