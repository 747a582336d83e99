"""A mirror of Leeds Sports Pose: training images, and test images with the masks of Unite the People.

As the real ones the two are apart: the training images in original size with OpenPose's files, the test
images with `upi-s1h/` in their folder. Both count their images from 1; the test's begin at 1001.

A mirror of Leeds Sports Pose extended: hasty annotators, images paired with joints by their order.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from spinloop.datasets.matlab import mat5_bytes
from spinloop.joints import LSP14, flip_permutation
from spinloop.keypoints.simulated import inside_image, mark_joints
from spinloop.mirror.people import truth_row
from spinloop.mirror.photographs import (
    Photograph,
    Piece,
    Studio,
    photographs,
    pieces,
    run_pieces,
    write_openpose,
)
from spinloop.mirror.scene import label
from spinloop.params.mirror import LspetParams, LspParams
from spinloop.tables.images import encode_jpeg
from spinloop.tables.records import make_id

TRAIN, TEST = "lsp_train", "lsp_test"
MASKS = "upi-s1h"
_MIRROR = 11  # second entry of every seed
_FIRST_TEST = 1000
_IGNORE = 255


class LspPicture(NamedTuple):
    """What a picture adds to `joints.mat` and to the truth."""

    joints: Float[np.ndarray, "14 3"]
    """x, y (px), and whether the joint is visible."""
    truth: dict[str, Any]


def write_train(
    params: LspParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[list[LspPicture]]:
    """Draw the training images; `images/` is made in both folders, a piece's pictures come in order."""
    folders = root / "images", openpose / "images"
    yield from run_pieces(draw_train, pieces(0, params.n_images, params, studio, *folders), workers)


def write_test(params: LspParams, studio: Studio, root: Path, workers: int) -> Iterator[list[LspPicture]]:
    """Draw the test images and their masks; `images/` and `upi-s1h/` are made in the folder."""
    folders = root / "images", root / MASKS / "data" / "lsp"
    last = _FIRST_TEST + params.n_test_images
    yield from run_pieces(draw_test, pieces(_FIRST_TEST, last, params, studio, *folders), workers)


def save_lsp_joints(root: Path, drawn: Sequence[LspPicture], split: str) -> None:
    """Write `joints.mat`; in the test's, the training images, which lie elsewhere, have zeros."""
    joints = np.stack([one.joints.T for one in drawn], axis=-1)
    n_before = _FIRST_TEST if split == TEST else 0
    (root / "joints.mat").write_bytes(mat5_bytes({"joints": np.pad(joints, ((0, 0), (0, 0), (n_before, 0)))}))


def draw_train(piece: Piece[LspParams]) -> list[LspPicture]:
    """Draw some training images and write their files."""
    drawn = []
    for photograph in photographs(piece, _MIRROR):
        drawn.append(_write(piece, photograph, TRAIN))
        path = piece.beside / f"im{photograph.number + 1:04d}_keypoints.json"
        write_openpose(path, photograph, piece.params)
    return drawn


def draw_test(piece: Piece[LspParams]) -> list[LspPicture]:
    """Draw some test images and write their files."""
    drawn = []
    for photograph in photographs(piece, _MIRROR):
        drawn.append(_write(piece, photograph, TEST))
        parts = label(photograph.scene, photograph.cast, 0)
        stem = piece.beside / f"im{photograph.number + 1:04d}"
        _write_png(stem.with_name(f"{stem.name}_segmentation.png"), 255 * (parts > 0).astype(np.uint8))
        open_parts = _leave_seams_open(parts, piece.params.seam_px)
        _write_png(stem.with_name(f"{stem.name}_part_segmentation.png"), open_parts)
    return drawn


def _write(piece: Piece[LspParams], photograph: Photograph, split: str) -> LspPicture:
    params, rng = piece.params, photograph.rng
    quality = round(rng.uniform(*params.picture.jpeg_quality.bounds))
    name = f"im{photograph.number + 1:04d}.jpg"
    (piece.images / name).write_bytes(encode_jpeg(photograph.picture.image, quality))
    mark, person = photograph.marks[0], photograph.scene.people[0]
    places = mark_joints(mark.pixels, LSP14, params.annotation_noise, rng)
    joints = np.concatenate([places, mark.shown(LSP14)[:, None]], axis=1)
    key = make_id(split, f"images/{name}", 0)
    return LspPicture(joints, truth_row(key, person, photograph.scene.camera))


def _leave_seams_open(parts: UInt8[np.ndarray, "H W"], seam_px: int) -> UInt8[np.ndarray, "H W"]:
    """The part mask with 255 where two parts meet: no annotator can tell where an arm begins."""
    body = parts > 0
    window = np.ones((seam_px + 1, seam_px + 1), np.uint8)
    # Beside the body nothing is to be mixed up: there the neighbors' own label stands in.
    highest = cv2.dilate(parts, window)
    lowest = cv2.erode(np.where(body, parts, np.uint8(_IGNORE)), window)
    return np.where(body & (highest != lowest), np.uint8(_IGNORE), parts)


def _write_png(path: Path, image: UInt8[np.ndarray, "H W"]) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path}: the mask could not be written")


SPLIT = "lspet_train"
_MIRROR_lspet = 13  # second entry of every seed
_MIRRORED = list(flip_permutation(LSP14))


class LspetPicture(NamedTuple):
    """What a picture adds to `joints.mat` and to the truth."""

    joints: Float[np.ndarray, "14 3"]
    """x, y (px), and whether the joint is annotated."""
    truth: dict[str, Any]


def write_lspet(
    params: LspetParams, studio: Studio, root: Path, openpose: Path, workers: int
) -> Iterator[list[LspetPicture]]:
    """Draw all pictures, right in the two folders; a piece's pictures come in order."""
    yield from run_pieces(draw_piece, pieces(0, params.n_images, params, studio, root, openpose), workers)


def save_lspet_joints(root: Path, drawn: Sequence[LspetPicture]) -> None:
    """Write `joints.mat`, in the order of the pictures' names."""
    joints = np.stack([one.joints for one in drawn], axis=-1)
    (root / "joints.mat").write_bytes(mat5_bytes({"joints": joints}))


def draw_piece(piece: Piece[LspetParams]) -> list[LspetPicture]:
    """Draw some pictures and write their files."""
    return [_write_lspet(piece, photograph) for photograph in photographs(piece, _MIRROR_lspet)]


def _write_lspet(piece: Piece[LspetParams], photograph: Photograph) -> LspetPicture:
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
    return LspetPicture(joints, truth_row(key, person, photograph.scene.camera))
