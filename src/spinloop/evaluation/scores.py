"""All metrics of a protocol for a set of people, per sample and per joint, and their summary."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from spinloop.evaluation import metrics
from spinloop.evaluation.bootstrap import mean_interval
from spinloop.evaluation.protocols import AUC_THRESHOLDS_MM, PCK_THRESHOLD_MM, Protocol


@dataclass(frozen=True)
class Scores:
    """Errors of every person under one protocol."""

    protocol: Protocol
    """What was measured, and how."""
    values: dict[str, Float[np.ndarray, " N"]]
    """Each metric of the protocol, per person."""
    joint_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints, seen from the root; mm."""
    joint_pa_mpjpe_mm: Float[np.ndarray, "N J"]
    """Error of each of the protocol's joints after alignment; mm."""


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
        vertex_error_mm: mean vertex error of each person, where the protocol asks for PVE.

    Raises:
        ValueError: the protocol asks for PVE and there is none.
    """
    direct, aligned = joint_errors(protocol, predicted, annotated)
    everything = {"mpjpe_mm": direct.mean(-1), "pa_mpjpe_mm": aligned.mean(-1)}
    for prefix, errors in (("", direct), ("pa_", aligned)):
        limbs = errors[:, list(protocol.pck_columns)]
        everything[f"{prefix}pck_percent"] = metrics.pck_percent(limbs, PCK_THRESHOLD_MM)
        everything[f"{prefix}auc_percent"] = metrics.auc_percent(limbs, np.array(AUC_THRESHOLDS_MM))
    if vertex_error_mm is not None:
        everything["pve_mm"] = vertex_error_mm
    elif "pve_mm" in protocol.metrics:
        raise ValueError(f"{protocol.name} needs vertex errors")
    return Scores(protocol, {name: everything[name] for name in protocol.metrics}, direct, aligned)


def sequence_labels(records: pd.DataFrame) -> Shaped[np.ndarray, " N"]:
    """Which people are resampled together: those of one sequence; a row without a sequence stands alone."""
    return records["sequence"].fillna(records["id"]).to_numpy(dtype=str)


def summarize(
    scores: Scores,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Mean of each metric with its bootstrap interval, as flat numbers.

    Args:
        scores: errors of every person.
        groups: which people are resampled together, see `bootstrap.mean_interval`.
        confidence: of the interval, in (0, 1).
        n_resamples: draws of the bootstrap.
        seed: of the draws; each metric sees the same ones.

    Returns:
        `<metric>`, `<metric>_low`, `<metric>_high` of each metric; `n`, `n_groups`, `confidence`, `protocol`.
    """
    summary: dict[str, Any] = {
        "protocol": scores.protocol.name,
        "n": len(groups),
        "n_groups": len(np.unique(groups)),
        "confidence": confidence,
    }
    for name, values in scores.values.items():
        interval = mean_interval(values, groups, confidence, n_resamples, np.random.default_rng(seed))
        summary |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return summary
