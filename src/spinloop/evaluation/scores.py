"""Scores: the errors of each person's prediction under a protocol, against bodies, joints or masks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from spinloop.body.files import PART_NAMES, BodyFile
from spinloop.body.model import BodyModel
from spinloop.errors import UserError
from spinloop.evaluation import metrics
from spinloop.evaluation.metrics import PixelCounts, class_f1, count_pixels, mask_metrics
from spinloop.evaluation.predictions import Predictions
from spinloop.evaluation.protocols import (
    AUC_THRESHOLDS_MM,
    PCK_THRESHOLD_MM,
    AnyProtocol,
    JointProtocol,
    MaskProtocol,
)
from spinloop.evaluation.truth import (
    NEUTRAL,
    TrueBodies,
    annotated_joints,
    batches,
    chain_joints,
    gendered_vertices,
    true_bodies,
)
from spinloop.geometry.camera import camera_to_translation
from spinloop.joints import SMPL24
from spinloop.rendering.masks import render_labels, render_labels_as_published
from spinloop.tables.crops import CropReader


@dataclass(frozen=True)
class JointScores:
    """Errors of every person's joints under one protocol."""

    protocol: JointProtocol
    values: dict[str, Float[np.ndarray, " N"]]
    """Each metric of the protocol, per person."""
    joint_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints, root-aligned; mm."""
    joint_pa_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints, Procrustes-aligned; mm."""

    @property
    def arrays(self) -> dict[str, Float[np.ndarray, "N ..."]]:
        """All errors of each person, by name, as they are stored."""
        joints = {"joint_mpjpe_mm": self.joint_mpjpe_mm, "joint_pa_mpjpe_mm": self.joint_pa_mpjpe_mm}
        return {**self.values, **joints}

    @property
    def attributes(self) -> dict[str, str | list[str]]:
        """Attributes of the stored errors."""
        return {"protocol": self.protocol.name, "part_names": list(self.parts)}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """Mean errors of each joint."""
        means = zip(
            self.protocol.joints, self.joint_mpjpe_mm.mean(0), self.joint_pa_mpjpe_mm.mean(0), strict=True
        )
        return {name: {"mpjpe_mm": float(m), "pa_mpjpe_mm": float(pa)} for name, m, pa in means}


@dataclass(frozen=True)
class MaskScores:
    """How well every person's rendered body covers its masks under one protocol.

    A metric of a set is computed from the pixels of all images together; it is not the mean over images.
    """

    protocol: MaskProtocol
    counts: PixelCounts
    """Pixels of every image."""

    @property
    def values(self) -> dict[str, Float[np.ndarray, " N"]]:
        """Each metric of the protocol, of each image alone."""
        return {name: mask_metrics(self.counts)[name] for name in self.protocol.metrics}

    @property
    def arrays(self) -> dict[str, Float[np.ndarray, "N ..."]]:
        """All numbers of each image, by name, as they are stored."""
        return {**self.values, "pixel_counts": self.counts.flat().astype(np.float64)}

    @property
    def attributes(self) -> dict[str, str | list[str]]:
        """Attributes of the stored numbers."""
        return {"protocol": self.protocol.name, "part_names": list(self.parts)}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """F1 of background and of each part over the whole set."""
        f1 = class_f1(self.counts.parts.sum(0))
        return {
            name: {"f1": float(value)} for name, value in zip(("background", *PART_NAMES), f1, strict=True)
        }


AnyScores = JointScores | MaskScores


def stored_scores(
    protocol: AnyProtocol,
    errors: Mapping[str, Float[np.ndarray, "N ..."]],
    rows: Int[np.ndarray, " M"] | None = None,
) -> AnyScores:
    """Scores from the errors of a file of predictions.

    Args:
        protocol: the protocol of the errors.
        errors: the errors, by name.
        rows: people to take; None takes all.
    """
    errors = {name: values if rows is None else values[rows] for name, values in errors.items()}
    if isinstance(protocol, MaskProtocol):
        return MaskScores(protocol, PixelCounts.from_flat(errors["pixel_counts"]))
    joints = (errors["joint_mpjpe_mm"], errors["joint_pa_mpjpe_mm"])
    return JointScores(protocol, {name: errors[name] for name in protocol.metrics if name in errors}, *joints)


@dataclass(frozen=True)
class Reference:
    """The truth that predictions of a split are compared with."""

    path: Path
    """The annotations' file, for messages."""
    records: pd.DataFrame
    """The annotated people, in the order of the predictions."""
    bodies: Mapping[str, BodyModel]
    """`neutral`, `female` and `male`."""
    neutral: BodyFile
    """Arrays of the neutral body."""
    crops: CropReader | None
    """Packed crops with the annotated masks; needed by mask protocols only."""

    def take(self, rows: Int[np.ndarray, " M"]) -> "Reference":
        """Some of the people."""
        return replace(self, records=self.records.iloc[rows])


def score_predictions(
    protocol: AnyProtocol, predictions: Predictions, reference: Reference, batch_size: int
) -> AnyScores:
    """Score predicted bodies under a protocol of any kind.

    Args:
        protocol: what is compared, and how.
        predictions: predictions of the people of `reference`, in the same order.
        reference: the truth.
        batch_size: people posed at once.

    Raises:
        UserError: the annotations lack what the protocol needs; the first person is named.
    """
    if isinstance(protocol, MaskProtocol):
        return score_masks(protocol, predictions, reference, batch_size)
    if protocol.truth == "annotated_joints":
        true_joints = annotated_joints(reference.records, protocol, reference.path)
        return score_joints(protocol, predictions.joints, true_joints)
    truth = true_bodies(reference.records, reference.path)
    if protocol.joint_set == SMPL24:
        genders = [None] * len(predictions.ids)
        joints = chain_joints(reference.bodies, predictions.rotations, predictions.betas, genders)
        true = chain_joints(reference.bodies, truth.pose, truth.betas, truth.genders)
        return score_joints(protocol, joints, true)
    return score_bodies(protocol, predictions, truth, reference.bodies, batch_size)


def joint_errors(
    protocol: JointProtocol, predicted: Float[np.ndarray, "N J 3"], true: Float[np.ndarray, "N J 3"]
) -> tuple[Float[np.ndarray, "N K"], Float[np.ndarray, "N K"]]:
    """Root-aligned and Procrustes-aligned error of each of the protocol's joints; mm.

    Args:
        protocol: which joints and root.
        predicted: joints of the protocol's set; metres, camera axes; the root need not be at the origin.
        true: the same of the truth.
    """
    rows = list(protocol.joint_rows)
    predicted = metrics.centered(predicted, predicted[:, protocol.root_row])[:, rows]
    true = metrics.centered(true, true[:, protocol.root_row])[:, rows]
    return metrics.distances_mm(predicted, true), metrics.aligned_distances_mm(predicted, true)


def score_joints(
    protocol: JointProtocol,
    predicted: Float[np.ndarray, "N J 3"],
    true: Float[np.ndarray, "N J 3"],
    vertex_error_mm: Float[np.ndarray, " N"] | None = None,
) -> JointScores:
    """Every metric of a protocol for each person.

    Args:
        protocol: which joints, root and metrics.
        predicted: as in `joint_errors`.
        true: as in `joint_errors`.
        vertex_error_mm: mean vertex error of each person; None, where only joints are known, leaves PVE out.
    """
    root_aligned, procrustes_aligned = joint_errors(protocol, predicted, true)
    values = {"mpjpe_mm": root_aligned.mean(-1), "pa_mpjpe_mm": procrustes_aligned.mean(-1)}
    for prefix, errors in (("", root_aligned), ("pa_", procrustes_aligned)):
        limbs = errors[:, list(protocol.pck_columns)]
        values[f"{prefix}pck_percent"] = metrics.pck_percent(limbs, PCK_THRESHOLD_MM)
        values[f"{prefix}auc_percent"] = metrics.auc_percent(limbs, np.array(AUC_THRESHOLDS_MM))
    if vertex_error_mm is not None:
        values["pve_mm"] = vertex_error_mm
    known = {name: values[name] for name in protocol.metrics if name in values}
    return JointScores(protocol, known, root_aligned, procrustes_aligned)


@torch.no_grad()
def score_bodies(
    protocol: JointProtocol,
    predictions: Predictions,
    truth: TrueBodies,
    bodies: Mapping[str, BodyModel],
    batch_size: int,
) -> JointScores:
    """Errors of predicted bodies against true bodies of the right gender.

    Args:
        protocol: one whose truth is a gendered body.
        predictions: shape and pose of the neutral body.
        truth: the same people in the same order.
        bodies: `neutral`, `female` and `male`.
        batch_size: people at once.
    """
    true_joints, vertex_errors = [], []
    for part in batches(len(predictions.ids), batch_size):
        pose, betas = (torch.from_numpy(np.asarray(a[part], np.float32)) for a in (truth.pose, truth.betas))
        true_vertices = gendered_vertices(bodies, pose, betas, truth.genders[part])
        vertices = bodies[NEUTRAL].vertices(
            torch.from_numpy(predictions.rotations[part]), torch.from_numpy(predictions.betas[part])
        )
        joints = bodies[NEUTRAL].regress_h36m(true_vertices).numpy()
        roots = (predictions.joints[part, protocol.root_row], joints[:, protocol.root_row])
        pair = zip((vertices, true_vertices), roots, strict=True)
        vertex_errors.append(metrics.pve_mm(*(metrics.centered(v.numpy(), root) for v, root in pair)))
        true_joints.append(joints)
    return score_joints(
        protocol, predictions.joints, np.concatenate(true_joints), np.concatenate(vertex_errors)
    )


@torch.no_grad()
def score_masks(
    protocol: MaskProtocol, predictions: Predictions, reference: Reference, batch_size: int
) -> MaskScores:
    """Pixels of rendered predictions against annotated masks.

    Args:
        protocol: how bodies are rendered.
        predictions: shape and pose of the neutral body, and the crop's camera.
        reference: boxes, sizes of the images and masks of the same people in the same order.
        batch_size: people posed at once.

    Raises:
        UserError: a person has no mask, or one of another size than its image; the person is named.
    """
    render = render_labels if protocol.drawing == "original" else render_labels_as_published
    body, records, crops = reference.neutral, reference.records, reference.crops
    if crops is None:
        raise UserError(f"{reference.path}: {protocol.name} needs masks; give --crops, which hold them")
    counts = []
    boxes = list(zip(records["center"], records["scale"], strict=True))
    sizes = list(zip(records["image_height"], records["image_width"], strict=True))
    for part in batches(len(predictions.ids), batch_size):
        vertices = _vertices_in_camera(reference.bodies[NEUTRAL], predictions, part)
        for index, mesh in enumerate(vertices, part.start):
            key, size = predictions.ids[index], (int(sizes[index][0]), int(sizes[index][1]))
            mask, parts = (crops.mask(crops.index_of[key], name) for name in ("mask", "parts"))
            _check_masks(key, size, mask, parts)
            assert mask is not None
            center, scale = np.asarray(boxes[index][0], dtype=np.float64), float(boxes[index][1])
            labels = render(mesh, body.f, body.part_labels, center, scale, size)
            counts.append(count_pixels(labels, mask > 0, parts))
    return MaskScores(protocol, PixelCounts(*(np.stack(arrays) for arrays in zip(*counts, strict=True))))


def _vertices_in_camera(
    model: BodyModel, predictions: Predictions, part: slice
) -> Float[np.ndarray, "B V 3"]:
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
