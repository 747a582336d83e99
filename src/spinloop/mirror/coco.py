"""A mirror of COCO's person keypoints: photographs, one annotation file, OpenPose's files beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool

from spinloop.files import write_json
from spinloop.joints import COCO17, MODEL49_TO_COCO17
from spinloop.keypoints.noise import COCO_SIGMA, inside_image
from spinloop.mirror.job import MirrorJob, truth_row
from spinloop.mirror.people import (
    BodySet,
    PersonState,
    WorldPerson,
    place_person,
    sample_identity,
    sample_root,
)
from spinloop.mirror.photographs import LEAST_AREA_PX, RenderedPhotograph, render_photographs, write_openpose
from spinloop.mirror.scene import ProjectedJoints, save_jpeg
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import CocoParams
from spinloop.tables.records import make_id

# Pairs of keypoints that are connected as limbs, counted from 1, as in the original file.
_SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
    (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
_STREAM = 1  # second entry of every seed; every mirror has its own
_CROWD = 2
# COCO numbers annotations of crowds apart from the others: 900 and nine digits.
_FIRST_CROWD_ID = 900_000_000_000
# Where crowds stand, behind the origin, which the camera sees from +z: metres.
_NEAREST_M, _FARTHEST_M, _SPREAD_M = 2.0, 5.0, 1.8


class CocoPicture(NamedTuple):
    """One picture's part of the annotation file and of the truth."""

    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    truth: list[dict[str, Any]]


def write_coco(job: MirrorJob[CocoParams], root: Path, openpose: Path) -> list[dict[str, Any]]:
    """Render the mirror.

    Args:
        job: the section `mirror_coco`, the neutral body, the distribution of poses.
        root: folder of the mirror; a folder named like the subset is made in it.
        openpose: folder of OpenPose's files; likewise.

    Returns:
        The rows of the truth.
    """
    params = job.params
    folders = root / params.subset, openpose / params.subset
    pictures = list(
        render_photographs(job, _STREAM, range(params.n_images), folders, _save_picture, _sample_crowd)
    )
    annotations = [annotation for picture in pictures for annotation in picture.annotations]
    content = annotation_file([picture.image for picture in pictures], annotations, int(params.subset[-4:]))
    write_json(root / "annotations" / f"person_keypoints_{params.subset}.json", content)
    return [row for picture in pictures for row in picture.truth]


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
    joints: ProjectedJoints,
    mask: Bool[np.ndarray, "H W"],
    params: CocoParams,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The annotation of a person: box, outline, area, 17 joints with their visibility.

    Args:
        joints: the true joints.
        mask: the pixels that show the person; at least one.
        params: noise, and which joints are left out.
        rng: generator.
    """
    area = int(mask.sum())
    order = list(MODEL49_TO_COCO17)
    error = rng.standard_normal((17, 2)) * (params.annotation_noise * COCO_SIGMA * np.sqrt(area))[:, None]
    points = joints.pixels[order] + error
    flag = np.where(joints.is_visible[order], 2, 1)
    left_out = (flag == 1) & (rng.random(17) < params.hidden_not_annotated)
    flag[left_out | ~inside_image(points, mask.shape) | (area < params.least_keypoints_px)] = 0
    keypoints = [
        value
        for (x, y), state in zip(points.tolist(), flag.tolist(), strict=True)
        for value in ((round(x, 2), round(y, 2), state) if state else (0, 0, 0))
    ]
    return {
        "bbox": _box(mask),
        "area": area,
        "num_keypoints": int((flag > 0).sum()),
        "keypoints": keypoints,
        "segmentation": _outline(mask),
    }


def annotate_crowd(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """The annotation of a crowd: no joints; the mask as run lengths of background and crowd, by columns."""
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
    """Polygons around the mask, x and y alternating, as COCO writes them."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.reshape(-1).astype(np.float64).tolist() for contour in contours if len(contour) >= 3]


def _sample_crowd(
    params: CocoParams, number: int, bodies: BodySet, mixture: Mixture
) -> Sequence[WorldPerson]:
    """A group of people in the background of the share of pictures in `params.crowd`."""
    # A generator of its own, so that crowds do not change the rest of the picture.
    rng = np.random.default_rng([params.seed, _STREAM, _CROWD, number])
    if rng.random() >= params.crowd:
        return ()
    poses = mixture.sample(params.crowd_people, rng)
    middle = rng.uniform(-_SPREAD_M, _SPREAD_M)
    crowd = []
    for pose in poses:
        place = np.array([middle + rng.normal(0, 0.8), -rng.uniform(_NEAREST_M, _FARTHEST_M)])
        identity = sample_identity(rng, bodies, params.people)
        state = PersonState(sample_root(rng, params.people), pose, place)
        crowd.append(place_person(bodies, identity, state))
    return crowd


def _save_picture(
    photograph: RenderedPhotograph, params: CocoParams, images: Path, openpose: Path
) -> CocoPicture:
    rng, scene = photograph.rng, photograph.scene
    # Ids are not row numbers, so that joining files by row fails.
    image_id = 7 * (photograph.number + 1)
    name = f"COCO_{params.subset}_{image_id:012d}" if params.subset.endswith("2014") else f"{image_id:012d}"
    save_jpeg(images / f"{name}.jpg", photograph.picture.image, params.picture, rng)
    write_openpose(openpose / f"{name}_keypoints.json", photograph, params)

    height, width = scene.camera.size
    image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1}
    picture = CocoPicture(image, [], [])
    for number, (person, joints) in enumerate(zip(scene.people, photograph.joints, strict=True)):
        mask = photograph.picture.owner == number
        if number >= photograph.n_in_front or mask.sum() < LEAST_AREA_PX:
            continue
        annotation_id = 10 * image_id + number
        head = {"id": annotation_id, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        picture.annotations.append(head | annotate(joints, mask, params, rng))
        key = make_id(f"coco_{params.subset[:-4]}", f"{params.subset}/{name}.jpg", annotation_id)
        picture.truth.append(truth_row(key, person, scene.camera))
    crowd = photograph.picture.owner >= photograph.n_in_front
    if crowd.any():
        head = {"id": _FIRST_CROWD_ID + image_id, "image_id": image_id, "category_id": 1, "iscrowd": 1}
        picture.annotations.append(head | annotate_crowd(crowd))
    return picture
