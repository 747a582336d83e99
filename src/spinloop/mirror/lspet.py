"""A mirror of Leeds Sports Pose extended: hasty annotators, images paired with joints by their order."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from spinloop.annotations.record import make_id
from spinloop.joints import LSP14, mirror_permutation
from spinloop.mirror.annotator import mark_joints
from spinloop.mirror.matlab import mat5_bytes
from spinloop.mirror.photographs import Photograph, Piece, photographs, pieces, write_openpose
from spinloop.mirror.pool import Studio, run_pieces
from spinloop.mirror.truth import truth_row
from spinloop.mirror.visibility import inside_image
from spinloop.params.mirror import LspetParams

SPLIT = "lspet_train"
_MIRROR = 13  # second entry of every seed
_MIRRORED = list(mirror_permutation(LSP14))


class Drawn(NamedTuple):
    """What a picture adds to `joints.mat` and to the truth."""

    joints: Float[np.ndarray, "14 3"]
    """x, y (px), and whether the joint is annotated."""
    truth: dict[str, Any]


def write_lspet(
    params: LspetParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[list[Drawn]]:
    """Draw all pictures, right in the two folders; a piece's pictures come in order."""
    yield from run_pieces(draw_piece, pieces(0, params.n_images, params, studio, root, openpose), workers)


def save_joints(root: Path, drawn: Sequence[Drawn]) -> None:
    """Write `joints.mat`, in the order of the pictures' names."""
    joints = np.stack([one.joints for one in drawn], axis=-1)
    (root / "joints.mat").write_bytes(mat5_bytes({"joints": joints}))


def draw_piece(piece: Piece[LspetParams]) -> list[Drawn]:
    """Draw some pictures and write their files."""
    return [_write(piece, photograph) for photograph in photographs(piece, _MIRROR)]


def _write(piece: Piece[LspetParams], photograph: Photograph) -> Drawn:
    params, rng = piece.params, photograph.rng
    name = f"im{photograph.number + 1:05d}"
    image = piece.images / f"{name}.png"
    if not cv2.imwrite(str(image), photograph.picture.image[..., ::-1]):
        raise OSError(f"{image}: the picture could not be written")
    write_openpose(piece.beside / f"{name}_keypoints.json", photograph, params)

    mark, person = photograph.marks[0], photograph.scene.people[0]
    places = mark_joints(mark.pixels, LSP14, params.annotation_noise, rng)
    is_known = mark.shown(LSP14) | (rng.random(len(LSP14)) >= params.hidden_not_annotated)
    is_known &= inside_image(places, photograph.scene.camera.size)
    joints = np.where(is_known[:, None], np.concatenate([places, np.ones((len(LSP14), 1))], axis=1), 0.0)
    if rng.random() < params.swap:
        joints = joints[_MIRRORED]
    key = make_id(SPLIT, f"{name}.png", 0)
    return Drawn(joints, truth_row(key, person, photograph.scene.camera))
