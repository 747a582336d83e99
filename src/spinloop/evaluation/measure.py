"""Predicted bodies measured under a protocol: against bodies, against joints, against masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel
from spinloop.errors import UserError
from spinloop.evaluation import metrics
from spinloop.evaluation.metrics import PixelCounts, count_pixels
from spinloop.evaluation.predict import Predictions
from spinloop.evaluation.protocols import AnyProtocol, MaskProtocol, Protocol
from spinloop.evaluation.scores import MaskScores, Scores, score_joints
from spinloop.evaluation.truth import (
    NEUTRAL,
    Masks,
    Truth,
    annotated_joints,
    batches,
    gendered_vertices,
    truth_of,
)
from spinloop.geometry.camera import camera_to_translation
from spinloop.rendering.masks import render_labels, render_labels_as_published


@dataclass(frozen=True)
class Reference:
    """What predictions of one split are compared with."""

    annotations: Path
    """The table's file, for messages."""
    records: pd.DataFrame
    """The annotated people, in the order of the predictions."""
    bodies: Mapping[str, BodyModel]
    """`neutral`, `female` and `male`."""
    neutral: BodyFile
    """The arrays of the neutral body."""
    masks: Masks | None
    """Annotated masks, row by row; None where nobody asks for them."""


def measure(
    protocol: AnyProtocol, predictions: Predictions, reference: Reference, batch_size: int
) -> Scores | MaskScores:
    """Predicted bodies under any protocol.

    Args:
        protocol: what is compared, and how.
        predictions: of everybody in `reference`, in the same order.
        reference: what they are compared with.
        batch_size: people posed at once.

    Raises:
        UserError: the annotations lack what the protocol needs; the first person is named.
    """
    if isinstance(protocol, MaskProtocol):
        return score_masks(protocol, predictions, reference, batch_size)
    if protocol.truth == "annotated_joints":
        wanted = annotated_joints(reference.records, protocol, reference.annotations)
        return score_joints(protocol, predictions.joints, wanted)
    truth = truth_of(reference.records, reference.annotations)
    return score_bodies(protocol, predictions, truth, reference.bodies, batch_size)


@torch.no_grad()
def score_bodies(
    protocol: Protocol,
    predictions: Predictions,
    truth: Truth,
    bodies: Mapping[str, BodyModel],
    batch_size: int,
) -> Scores:
    """Errors of predicted bodies against annotated ones of the right gender.

    Args:
        protocol: one whose truth is a gendered body.
        predictions: shape and pose of the neutral body.
        truth: the same people in the same order.
        bodies: `neutral`, `female` and `male`.
        batch_size: people at once.
    """
    annotated_joints, vertex_errors = [], []
    for part in batches(len(predictions.ids), batch_size):
        pose, betas = (torch.from_numpy(np.asarray(a[part], np.float32)) for a in (truth.pose, truth.betas))
        wanted = gendered_vertices(bodies, pose, betas, truth.genders[part])
        seen = bodies[NEUTRAL].vertices(
            torch.from_numpy(predictions.rotations[part]), torch.from_numpy(predictions.betas[part])
        )
        joints = bodies[NEUTRAL].regress_h36m(wanted).numpy()
        roots = (predictions.joints[part, protocol.root_row], joints[:, protocol.root_row])
        centered = [metrics.centered(v.numpy(), root) for v, root in zip((seen, wanted), roots, strict=True)]
        vertex_errors.append(metrics.pve_mm(*centered))
        annotated_joints.append(joints)
    return score_joints(
        protocol, predictions.joints, np.concatenate(annotated_joints), np.concatenate(vertex_errors)
    )


@torch.no_grad()
def score_masks(
    protocol: MaskProtocol,
    predictions: Predictions,
    reference: Reference,
    batch_size: int,
) -> MaskScores:
    """Pixels of predicted bodies against annotated masks.

    Args:
        protocol: how bodies are drawn.
        predictions: shape and pose of the neutral body, and the crop's camera.
        reference: boxes, sizes of the images and masks of the same people in the same order.
        batch_size: people posed at once.

    Raises:
        UserError: a person has no mask, or one of another size than its image; the person is named.
    """
    draw = render_labels if protocol.drawing == "original" else render_labels_as_published
    body, records, masks = reference.neutral, reference.records, reference.masks
    if masks is None:
        raise UserError(
            f"{reference.annotations}: {protocol.name} needs masks; give --crops, which hold them"
        )
    counts = []
    boxes = list(zip(records["center"], records["scale"], strict=True))
    sizes = list(zip(records["image_height"], records["image_width"], strict=True))
    for part in batches(len(predictions.ids), batch_size):
        for index, vertices in enumerate(
            _seen_vertices(reference.bodies[NEUTRAL], predictions, part), part.start
        ):
            size = (int(sizes[index][0]), int(sizes[index][1]))
            mask, parts = (masks.mask(index, name) for name in ("mask", "parts"))
            _check_masks(predictions.ids[index], size, mask, parts)
            assert mask is not None
            center, scale = np.asarray(boxes[index][0], dtype=np.float64), float(boxes[index][1])
            drawn = draw(vertices, body.f, body.part_labels, center, scale, size)
            counts.append(count_pixels(drawn, mask > 0, parts))
    return MaskScores(protocol, PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True))))


def _seen_vertices(model: BodyModel, predictions: Predictions, part: slice) -> Float[np.ndarray, "B V 3"]:
    """Posed vertices in the axes of each crop's camera, metres."""
    rotations, betas, camera = (
        torch.from_numpy(array[part])
        for array in (predictions.rotations, predictions.betas, predictions.camera)
    )
    return (model.vertices(rotations, betas) + camera_to_translation(camera)[:, None]).numpy()


def _check_masks(key: str, size: tuple[int, int], mask: np.ndarray | None, parts: np.ndarray | None) -> None:
    if mask is None:
        raise UserError(f"{key}: no mask; preprocess and pack a split with masks, or choose another protocol")
    for name, image in (("mask", mask), ("parts", parts)):
        if image is not None and image.shape != size:
            raise UserError(
                f"{key}: {name}: {image.shape[0]} × {image.shape[1]} px, the image has {size[0]} × "
                f"{size[1]}; restore the file and pack again"
            )
