"""Mirrors of Leeds Sports Pose and of its extended training set (LSPET).

LSP's training images have their original size and OpenPose's files; its test images have the masks of Unite
the People, `upi-s1h/`, in their folder. Both count their images from 1; the test images begin at 1001.
LSPET has coarse annotations, and pairs images with joints by their order.
"""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from spinloop.datasets.matlab import mat5_bytes
from spinloop.joints import LSP14, flip_permutation
from spinloop.keypoints.noise import sample_annotation
from spinloop.mirror.job import MirrorJob, truth_row
from spinloop.mirror.photographs import (
    RenderedPhotograph,
    annotate_joints,
    render_photographs,
    write_openpose,
)
from spinloop.mirror.scene import render_parts, save_jpeg
from spinloop.params.mirror import LspetParams, LspParams
from spinloop.tables.records import make_id

_LSP_STREAM, _LSPET_STREAM = 11, 13  # second entry of every seed; every mirror has its own
_TRAIN, _TEST, _LSPET = "lsp_train", "lsp_test", "lspet_train"
_MASKS = "upi-s1h"
_FIRST_TEST = 1000
_UNLABELED = 255
_FLIP = list(flip_permutation(LSP14))


class LspPicture(NamedTuple):
    """One picture's part of `joints.mat` and of the truth."""

    joints: Float[np.ndarray, "14 3"]
    """x, y (px), and whether the joint is visible (LSP) or annotated (LSPET)."""
    truth: dict[str, Any]


def write_lsp_train(job: MirrorJob[LspParams], root: Path, openpose: Path) -> list[dict[str, Any]]:
    """Render LSP's training images.

    Args:
        job: the section `mirror_lsp`, the neutral body, the distribution of poses.
        root: folder of the images; `images/` is made in it.
        openpose: folder of OpenPose's files; likewise.

    Returns:
        The rows of the truth.
    """
    numbers, folders = range(job.params.n_images), (root / "images", openpose / "images")
    rendered = render_photographs(job, _LSP_STREAM, numbers, folders, _save_train, description=_TRAIN)
    pictures = list(rendered)
    _save_joints(root, np.stack([picture.joints.T for picture in pictures], axis=-1))
    return [picture.truth for picture in pictures]


def write_lsp_test(job: MirrorJob[LspParams], root: Path) -> list[dict[str, Any]]:
    """Render LSP's test images and their masks; `images/` and `upi-s1h/` are made in the folder."""
    numbers = range(_FIRST_TEST, _FIRST_TEST + job.params.n_test_images)
    folders = root / "images", root / _MASKS / "data" / "lsp"
    pictures = list(render_photographs(job, _LSP_STREAM, numbers, folders, _save_test, description=_TEST))
    joints = np.stack([picture.joints.T for picture in pictures], axis=-1)
    # Zeros for the training images, which lie in another folder.
    _save_joints(root, np.pad(joints, ((0, 0), (0, 0), (_FIRST_TEST, 0))))
    return [picture.truth for picture in pictures]


def write_lspet(job: MirrorJob[LspetParams], root: Path, openpose: Path) -> list[dict[str, Any]]:
    """Render LSPET, directly in the two folders; arguments as in `write_lsp_train`."""
    numbers = range(job.params.n_images)
    pictures = list(render_photographs(job, _LSPET_STREAM, numbers, (root, openpose), _save_lspet))
    _save_joints(root, np.stack([picture.joints for picture in pictures], axis=-1))
    return [picture.truth for picture in pictures]


def _save_joints(root: Path, joints: Float[np.ndarray, "A B N"]) -> None:
    (root / "joints.mat").write_bytes(mat5_bytes({"joints": joints}))


def _save_train(
    photograph: RenderedPhotograph, params: LspParams, images: Path, openpose: Path
) -> LspPicture:
    picture = _save_lsp(photograph, params, images, _TRAIN)
    write_openpose(openpose / f"im{photograph.number + 1:04d}_keypoints.json", photograph, params)
    return picture


def _save_test(photograph: RenderedPhotograph, params: LspParams, images: Path, masks: Path) -> LspPicture:
    picture = _save_lsp(photograph, params, images, _TEST)
    parts = render_parts(photograph.scene, photograph.bodies, 0)
    stem = f"im{photograph.number + 1:04d}"
    _write_png(masks / f"{stem}_segmentation.png", 255 * (parts > 0).astype(np.uint8))
    _write_png(masks / f"{stem}_part_segmentation.png", _without_seams(parts, params.seam_px))
    return picture


def _save_lsp(photograph: RenderedPhotograph, params: LspParams, images: Path, split: str) -> LspPicture:
    rng, name = photograph.rng, f"im{photograph.number + 1:04d}.jpg"
    save_jpeg(images / name, photograph.picture.image, params.picture, rng)
    joints, person = photograph.joints[0], photograph.scene.people[0]
    places = sample_annotation(joints.pixels, LSP14, params.annotation_noise, rng)
    rows = np.concatenate([places, joints.visible(LSP14)[:, None]], axis=1)
    key = make_id(split, f"images/{name}", 0)
    return LspPicture(rows, truth_row(key, person, photograph.scene.camera))


def _save_lspet(
    photograph: RenderedPhotograph, params: LspetParams, images: Path, openpose: Path
) -> LspPicture:
    rng, name = photograph.rng, f"im{photograph.number + 1:05d}"
    _write_png(images / f"{name}.png", photograph.picture.image[..., ::-1])
    write_openpose(openpose / f"{name}_keypoints.json", photograph, params)
    places, is_known = annotate_joints(photograph, photograph.joints[0], LSP14, params)
    rows = np.where(is_known[:, None], np.concatenate([places, np.ones((len(LSP14), 1))], axis=1), 0.0)
    if rng.random() < params.swap:
        rows = rows[_FLIP]
    key = make_id(_LSPET, f"{name}.png", 0)
    return LspPicture(rows, truth_row(key, photograph.scene.people[0], photograph.scene.camera))


def _without_seams(parts: UInt8[np.ndarray, "H W"], seam_px: int) -> UInt8[np.ndarray, "H W"]:
    """The part mask with 255 where two parts meet, as annotators cannot tell where an arm begins."""
    body = parts > 0
    window = np.ones((seam_px + 1, seam_px + 1), np.uint8)
    # Background takes the neighbor's label, so that the outline of the body is not a seam.
    highest = cv2.dilate(parts, window)
    lowest = cv2.erode(np.where(body, parts, np.uint8(_UNLABELED)), window)
    return np.where(body & (highest != lowest), np.uint8(_UNLABELED), parts)


def _write_png(path: Path, image: UInt8[np.ndarray, "H W *C"]) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path}: the picture could not be written")
