"""Numbers by sequence, scene and activity.

All metrics of a protocol for a set of people, per sample and per joint or part, and their summary.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from spinloop.body.files import PART_NAMES
from spinloop.evaluation import metrics
from spinloop.evaluation.bootstrap import Interval, mean_interval, total_interval
from spinloop.evaluation.metrics import PixelCounts, class_f1, mask_metrics
from spinloop.evaluation.protocols import (
    AUC_THRESHOLDS_MM,
    PCK_THRESHOLD_MM,
    Breakdown,
    MaskProtocol,
    Protocol,
)

# MPI-INF-3DHP's test sequences (its test tool).
_SCENES = {
    "TS1": "green screen",
    "TS2": "green screen",
    "TS3": "no green screen",
    "TS4": "no green screen",
    "TS5": "outdoor",
    "TS6": "outdoor",
}


def labels_of(records: pd.DataFrame, breakdown: Breakdown) -> Shaped[np.ndarray, " N"] | None:
    """Each person's sequence, scene or activity; None where the table does not tell.

    Args:
        records: annotated people; an older table has no `activity`.
        breakdown: which.
    """
    column = "activity" if breakdown == "activity" else "sequence"
    if column not in records or any(records[column].isna()):
        return None
    names = records[column].to_numpy(dtype=str)
    if breakdown != "scene":
        return names
    scenes = [_SCENES.get(name) for name in names]
    return None if None in scenes else np.array(scenes, dtype=str)


def means_by(labels: Shaped[np.ndarray, " N"], values: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Count and mean of every value for each label, by name.

    Args:
        labels: one per person.
        values: one number per person, by metric.
    """
    table = {}
    for label in np.unique(labels):
        chosen = labels == label
        means = {name: float(array[chosen].mean()) for name, array in values.items()}
        table[str(label)] = {"n": int(chosen.sum()), **means}
    return table


@dataclass(frozen=True)
class Scores:
    """Errors of every person's joints under one protocol."""

    protocol: Protocol
    """What was measured, and how."""
    values: dict[str, Float[np.ndarray, " N"]]
    """Each metric of the protocol, per person."""
    joint_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints, seen from the root; mm."""
    joint_pa_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints after alignment; mm."""

    @property
    def arrays(self) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Everything that is known of each person, by name."""
        joints = {"joint_mpjpe_mm": self.joint_mpjpe_mm, "joint_pa_mpjpe_mm": self.joint_pa_mpjpe_mm}
        return {**self.values, **joints}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """Mean errors of each joint."""
        means = zip(
            self.protocol.joints, self.joint_mpjpe_mm.mean(0), self.joint_pa_mpjpe_mm.mean(0), strict=True
        )
        return {name: {"mpjpe_mm": float(m), "pa_mpjpe_mm": float(pa)} for name, m, pa in means}

    def interval(
        self,
        name: str,
        groups: Shaped[np.ndarray, " N"],
        confidence: float,
        n_resamples: int,
        rng: np.random.Generator,
    ) -> Interval:
        """A metric of the whole set; whole groups are resampled."""
        return mean_interval(self.values[name], groups, confidence, n_resamples, rng)


@dataclass(frozen=True)
class MaskScores:
    """How well every person's drawn body covers its masks under one protocol.

    A metric of a set is made from the pixels of all images together; it is not the mean over images.
    """

    protocol: MaskProtocol
    """What was measured, and how."""
    counts: PixelCounts
    """Pixels of every image."""

    @property
    def values(self) -> dict[str, Float[np.ndarray, " N"]]:
        """Each metric of the protocol, of each image alone."""
        return {name: mask_metrics(self.counts)[name] for name in self.protocol.metrics}

    @property
    def arrays(self) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Everything that is known of each image, by name."""
        return {**self.values, "pixel_counts": self.counts.flat().astype(np.float64)}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """F1 of each part over the whole set; of background and parts."""
        f1 = class_f1(self.counts.parts.sum(0))
        return {
            name: {"f1": float(value)} for name, value in zip(("background", *PART_NAMES), f1, strict=True)
        }

    def interval(
        self,
        name: str,
        groups: Shaped[np.ndarray, " N"],
        confidence: float,
        n_resamples: int,
        rng: np.random.Generator,
    ) -> Interval:
        """A metric of the whole set; images are resampled, whatever their group."""
        return total_interval(
            self.counts.flat(),
            lambda totals: mask_metrics(PixelCounts.from_flat(totals))[name],
            confidence,
            n_resamples,
            rng,
        )


def joint_errors(
    protocol: Protocol, predicted: Float[np.ndarray, "N 17 3"], annotated: Float[np.ndarray, "N 17 3"]
) -> tuple[Float[np.ndarray, "N J"], Float[np.ndarray, "N J"]]:
    """Error of each of the protocol's joints seen from the root, and after alignment; mm.

    Args:
        protocol: which joints and root.
        predicted: the 17 H36M joints; metres, camera axes; the root need not be at the origin.
        annotated: the same of the truth.
    """
    rows = list(protocol.joint_rows)
    seen = metrics.centered(predicted, predicted[:, protocol.root_row])[:, rows]
    wanted = metrics.centered(annotated, annotated[:, protocol.root_row])[:, rows]
    return metrics.distances_mm(seen, wanted), metrics.aligned_distances_mm(seen, wanted)


def score_joints(
    protocol: Protocol,
    predicted: Float[np.ndarray, "N 17 3"],
    annotated: Float[np.ndarray, "N 17 3"],
    vertex_error_mm: Float[np.ndarray, " N"] | None = None,
) -> Scores:
    """Every metric of `protocol` for each person.

    Args:
        protocol: which joints, root and metrics.
        predicted: as in `joint_errors`.
        annotated: as in `joint_errors`.
        vertex_error_mm: mean vertex error of each person; None where only joints are known, PVE then
            stays out.
    """
    direct, aligned = joint_errors(protocol, predicted, annotated)
    everything = {"mpjpe_mm": direct.mean(-1), "pa_mpjpe_mm": aligned.mean(-1)}
    for prefix, errors in (("", direct), ("pa_", aligned)):
        limbs = errors[:, list(protocol.pck_columns)]
        everything[f"{prefix}pck_percent"] = metrics.pck_percent(limbs, PCK_THRESHOLD_MM)
        everything[f"{prefix}auc_percent"] = metrics.auc_percent(limbs, np.array(AUC_THRESHOLDS_MM))
    if vertex_error_mm is not None:
        everything["pve_mm"] = vertex_error_mm
    known = [name for name in protocol.metrics if name in everything]
    return Scores(protocol, {name: everything[name] for name in known}, direct, aligned)


def sequence_labels(records: pd.DataFrame) -> Shaped[np.ndarray, " N"]:
    """Which people are resampled together: those of one sequence; a row without a sequence stands alone."""
    return records["sequence"].fillna(records["id"]).to_numpy(dtype=str)


def summarize(
    scores: Scores | MaskScores,
    records: pd.DataFrame,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Each metric of a whole split with its bootstrap interval, by joint or part, and by group.

    Args:
        scores: of every person.
        records: the same people, with `id` and `sequence`; see `sequence_labels`.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws; each metric sees the same ones.

    Returns:
        `<metric>`, `<metric>_low`, `<metric>_high` of each metric; `n`, `n_groups`, `confidence`, `protocol`;
        `parts`: joint or part → its means; `by`: breakdown → label → count and means.
    """
    groups = sequence_labels(records)
    summary: dict[str, Any] = {
        "protocol": scores.protocol.name,
        "n": len(groups),
        "n_groups": len(np.unique(groups)),
        "confidence": confidence,
        "parts": scores.parts,
        "by": breakdowns(scores, records),
    }
    return summary | intervals(scores, groups, confidence, n_resamples, seed)


def intervals(
    scores: Scores | MaskScores,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, float]:
    """`<metric>`, `<metric>_low`, `<metric>_high` of each metric of a set.

    Args:
        scores: of every person.
        groups: which people are resampled together.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws; each metric sees the same ones.
    """
    found = {}
    for name in scores.values:
        rng = np.random.default_rng(seed)
        found |= flat_interval(name, scores.interval(name, groups, confidence, n_resamples, rng))
    return found


def flat_interval(name: str, interval: Interval) -> dict[str, float]:
    """An interval as three numbers of a flat summary."""
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def breakdowns(scores: Scores | MaskScores, records: pd.DataFrame) -> dict[str, Any]:
    """The means by each breakdown of the protocol that the data name."""
    labels = {kind: labels_of(records, kind) for kind in scores.protocol.breakdowns}
    return {kind: means_by(found, scores.values) for kind, found in labels.items() if found is not None}
