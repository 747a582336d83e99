"""A mirror of MPII Human Pose as the stacked hourglass networks read it: a row of `train.h5` per person."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from jaxtyping import Float

from spinloop.datasets.mpii import MPII16
from spinloop.geometry.crop import BOX_UNIT_PX
from spinloop.keypoints.simulated import inside_image, mark_joints
from spinloop.mirror.people import Person, truth_row
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
from spinloop.params.mirror import MpiiParams
from spinloop.tables.images import encode_jpeg
from spinloop.tables.records import make_id

SPLIT = "mpii_train"
_MIRROR = 14  # second entry of every seed
_ORDER = 2
# What that project did to MPII's own box: moved it down by 15 px of its unit, and enlarged it.
_LOWER_PX, _LARGER = 15.0, 1.25


class MpiiPicture(NamedTuple):
    """A person: a row of `train.h5` and of the truth."""

    image: str
    center: Float[np.ndarray, " 2"]
    scale: float
    joints: Float[np.ndarray, "16 2"]
    truth: dict[str, Any]
    """Its id still lacks the person's number, which is the row."""


def write_mpii(
    params: MpiiParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[list[MpiiPicture]]:
    """Draw all pictures; `images/` is made in both folders. Yields a piece's people."""
    folders = root / "images", openpose / "images"
    yield from run_pieces(draw_piece, pieces(0, params.n_images, params, studio, *folders), workers)


def draw_piece(piece: Piece[MpiiParams]) -> list[MpiiPicture]:
    """Draw some pictures and write their files."""
    return [drawn for photograph in photographs(piece, _MIRROR) for drawn in _write(piece, photograph)]


def save_people(root: Path, drawn: Sequence[MpiiPicture], params: MpiiParams) -> list[dict[str, Any]]:
    """Write `train.h5`, its rows in an order of no meaning as in the original; returns the truth."""
    rng = np.random.default_rng([params.seed, _MIRROR, _ORDER])
    rows = [drawn[index] for index in rng.permutation(len(drawn))]
    with h5py.File(root / "train.h5", "w") as file:
        file["imgname"] = np.array([row.image.encode() for row in rows])
        file["center"] = np.stack([row.center for row in rows])
        file["scale"] = np.array([row.scale for row in rows])
        file["part"] = np.stack([row.joints for row in rows])
    return [
        row.truth | {"id": make_id(SPLIT, f"images/{row.image}", number)} for number, row in enumerate(rows)
    ]


def _write(piece: Piece[MpiiParams], photograph: Photograph) -> Iterator[MpiiPicture]:
    params, rng = piece.params, photograph.rng
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    name = f"{7 * (photograph.number + 1):09d}"
    (piece.images / f"{name}.jpg").write_bytes(encode_jpeg(photograph.picture.image, quality))
    write_openpose(piece.beside / f"{name}_keypoints.json", photograph, params)
    for number, (person, mark) in enumerate(zip(photograph.scene.people, photograph.marks, strict=True)):
        if (photograph.picture.owner == number).sum() >= LEAST_AREA_PX:
            yield _annotate(params, photograph, f"{name}.jpg", person, mark)


def _annotate(
    params: MpiiParams, photograph: Photograph, image: str, person: Person, mark: Marks
) -> MpiiPicture:
    rng, camera = photograph.rng, photograph.scene.camera
    places = mark_joints(mark.pixels, MPII16, params.annotation_noise, rng)
    is_known = mark.shown(MPII16) | (rng.random(len(MPII16)) >= params.hidden_not_annotated)
    is_known &= inside_image(places, camera.size) & (places > 0).all(1)
    outline = camera.project(person.vertices)
    low, high = outline.min(0), outline.max(0)
    scale = float((high - low)[1]) / BOX_UNIT_PX
    center = (low + high) / 2 + [0.0, _LOWER_PX * scale]
    joints = np.where(is_known[:, None], places, 0.0)
    return MpiiPicture(image, center, _LARGER * scale, joints, truth_row(image, person, camera))
