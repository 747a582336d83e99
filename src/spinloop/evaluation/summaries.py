"""Numbers of a whole split: means with bootstrap intervals, breakdowns, paired differences, lineage."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Num, Shaped

from spinloop.body.files import BodyFile
from spinloop.body.model import Engine
from spinloop.errors import UserError
from spinloop.evaluation.metrics import PixelCounts, mask_metrics
from spinloop.evaluation.predictions import Predictions, predict
from spinloop.evaluation.protocols import AnyProtocol, Breakdown
from spinloop.evaluation.scores import AnyScores, JointScores, MaskScores, Reference, score_predictions
from spinloop.evaluation.truth import NEUTRAL, make_body_models, rows_of
from spinloop.files import sha256_of
from spinloop.params.evaluation import EvaluateParams
from spinloop.regression.weights import load_network
from spinloop.tables.crops import CropReader
from spinloop.tables.records import load_records

# MPI-INF-3DHP's test sequences (its test tool).
_SCENES = {
    "TS1": "green screen",
    "TS2": "green screen",
    "TS3": "no green screen",
    "TS4": "no green screen",
    "TS5": "outdoor",
    "TS6": "outdoor",
}


class SplitEvaluation(NamedTuple):
    """A network evaluated on a split."""

    predictions: Predictions
    scores: AnyScores
    metrics: dict[str, Any]
    """Result of `summarize`, with `lineage` and the number of people without a crop."""


def evaluate_split(
    network: Path,
    crops: Path,
    annotations: Path,
    body_files: Mapping[str, BodyFile],
    protocol: AnyProtocol,
    engine: Engine,
    params: EvaluateParams,
) -> SplitEvaluation:
    """Run a trained network on all people of a split with a packed crop, and score it.

    Args:
        network: weights.
        crops: packed crops of the split.
        annotations: table of the split.
        body_files: `neutral`, `female` and `male`.
        protocol: protocol of the split.
        engine: code that poses meshes.
        params: batch size and intervals.

    Raises:
        UserError: a file is absent or faulty, or the annotations lack what the protocol needs.
    """
    model, sizes = load_network(network)
    bodies = make_body_models(body_files, engine)
    people = load_records(annotations)
    with CropReader(crops) as reader:
        if not reader.is_lossless:
            fix = "set `lossless: true` in its source in params.yaml, and pack the crops again"
            raise UserError(f"{crops}: JPEG, and a test measures the pixels as they are; {fix}")
        records = people.iloc[rows_of(people["id"].tolist(), reader.ids, annotations)]
        predictions = predict(model, bodies[NEUTRAL], reader, records, sizes.image_px, params.batch_size)
        reference = Reference(annotations, records, bodies, body_files[NEUTRAL], reader)
        scores = score_predictions(protocol, predictions, reference, params.batch_size)
    metrics = summarize(scores, records, **params.bootstrap)
    metrics["lineage"] = lineage(params.numbers, weights=network, annotations=annotations, crops=crops)
    metrics["n_without_crop"] = len(people) - len(records)
    return SplitEvaluation(predictions, scores, metrics)


def lineage(parameters: Mapping[str, Any], **files: Path) -> dict[str, str]:
    """Digests of all that numbers were made from: kind of input → 16 digits.

    Args:
        parameters: values that the numbers depend on.
        files: input files by kind, e.g. `weights`.
    """
    content = json.dumps(parameters, sort_keys=True, separators=(",", ":")).encode()
    return {"parameters": sha256_of(content)} | {kind: sha256_of(path) for kind, path in files.items()}


def summarize(
    scores: AnyScores, records: pd.DataFrame, confidence: float, n_resamples: int, seed: int
) -> dict[str, Any]:
    """Each metric of a whole split with its bootstrap interval, by joint or part, and by group.

    Args:
        scores: scores of every person.
        records: the same people, with `id` and `sequence`; see `sequence_labels`.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples; each metric gets the same ones.

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


def sequence_labels(records: pd.DataFrame) -> Shaped[np.ndarray, " N"]:
    """Groups that are resampled together: a person's sequence, or its id where it has none."""
    return records["sequence"].fillna(records["id"]).to_numpy(dtype=str)


def breakdowns(scores: AnyScores, records: pd.DataFrame) -> dict[str, Any]:
    """Counts and means by each breakdown of the protocol for which the data have labels."""
    found = {kind: _labels(records, kind) for kind in scores.protocol.breakdowns}
    return {kind: _means_by(labels, scores.values) for kind, labels in found.items() if labels is not None}


def _labels(records: pd.DataFrame, breakdown: Breakdown) -> Shaped[np.ndarray, " N"] | None:
    """Each person's sequence, scene or activity; None where the table does not have them.

    An older table has no column `activity`.
    """
    column = "activity" if breakdown == "activity" else "sequence"
    if column not in records or any(records[column].isna()):
        return None
    names = records[column].to_numpy(dtype=str)
    if breakdown != "scene":
        return names
    scenes = [_SCENES.get(name) for name in names]
    return None if None in scenes else np.array(scenes, dtype=str)


def _means_by(labels: Shaped[np.ndarray, " N"], values: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    table = {}
    for label in np.unique(labels):
        chosen = labels == label
        means = {name: float(array[chosen].mean()) for name, array in values.items()}
        table[str(label)] = {"n": int(chosen.sum()), **means}
    return table


class Interval(NamedTuple):
    """A mean, and the bounds of its interval."""

    mean: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """`<name>`, `<name>_low`, `<name>_high`."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def intervals(
    scores: AnyScores, groups: Shaped[np.ndarray, " N"], confidence: float, n_resamples: int, seed: int
) -> dict[str, float]:
    """`<metric>`, `<metric>_low`, `<metric>_high` of each metric of a set.

    Args:
        scores: scores of every person.
        groups: people who are resampled together.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples; each metric gets the same ones.
    """
    found = {}
    for name in scores.values:
        rng = np.random.default_rng(seed)
        found |= metric_interval(scores, name, groups, confidence, n_resamples, rng).named(name)
    return found


def metric_interval(
    scores: AnyScores,
    name: str,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """One metric of a set with its interval; images with masks are resampled one by one, not by group."""
    if isinstance(scores, JointScores):
        return mean_interval(scores.values[name], groups, confidence, n_resamples, rng)
    return total_interval(
        scores.counts.flat(),
        lambda totals: mask_metrics(PixelCounts.from_flat(totals))[name],
        confidence,
        n_resamples,
        rng,
    )


def paired_changes(
    first: AnyScores,
    second: AnyScores,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, float]:
    """`paired_change` of each metric, as `<metric>`, `<metric>_low`, `<metric>_high`.

    Args:
        first: scores of one.
        second: scores of the other, under the same protocol.
        groups: people who are resampled together.
        confidence: confidence of the intervals, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples; each metric gets the same ones.
    """
    found = {}
    for name in first.values:
        found |= paired_change(first, second, name, groups, confidence, n_resamples, seed).named(name)
    return found


def paired_change(
    first: AnyScores,
    second: AnyScores,
    name: str,
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> Interval:
    """A metric of the second minus that of the first over the same people, with its interval.

    The same people are resampled on both sides: images that are hard for both do not widen the interval.

    Args:
        first: scores of one.
        second: scores of the other, under the same protocol.
        name: the metric.
        groups: people who are resampled together; images with masks are resampled one by one.
        confidence: confidence of the interval, in (0, 1).
        n_resamples: resamples of the bootstrap.
        seed: seed of the resamples.
    """
    rng = np.random.default_rng(seed)
    if isinstance(first, MaskScores) and isinstance(second, MaskScores):
        counts = [scores.counts.flat() for scores in (first, second)]
        middle = counts[0].shape[1]

        def difference(totals: Float[np.ndarray, "R K"]) -> Float[np.ndarray, " R"]:
            halves = np.split(totals, [middle], axis=1)
            one, other = (mask_metrics(PixelCounts.from_flat(half))[name] for half in halves)
            return other - one

        return total_interval(np.concatenate(counts, axis=1), difference, confidence, n_resamples, rng)
    return mean_interval(second.values[name] - first.values[name], groups, confidence, n_resamples, rng)


def mean_interval(
    values: Float[np.ndarray, " N"],
    groups: Shaped[np.ndarray, " N"],
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """Mean of `values` with its percentile bootstrap interval.

    Whole groups are resampled, since frames of one sequence are similar; the mean of a resample is over all
    its samples.

    Args:
        values: one number per sample.
        groups: label of each sample's group; distinct labels make samples independent.
        confidence: confidence of the interval, in (0, 1).
        n_resamples: number of resamples.
        rng: source of the resamples.

    Raises:
        ValueError: there is no sample.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, sec. 13.3.
    """
    if not len(values):
        raise ValueError("no samples to average")
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, weights=values.astype(np.float64))
    counts = np.bincount(member).astype(np.float64)
    n_groups = len(sums)
    means = np.empty(n_resamples)
    for index in range(n_resamples):
        sampled = rng.integers(0, n_groups, n_groups)
        means[index] = sums[sampled].sum() / counts[sampled].sum()
    return _percentiles(float(values.mean(dtype=np.float64)), means, confidence)


def total_interval(
    counts: Num[np.ndarray, "N K"],
    statistic: Callable[[Float[np.ndarray, "R K"]], Float[np.ndarray, " R"]],
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """A number computed from counts of a whole set (a ratio of sums), with its bootstrap interval.

    Args:
        counts: counts of each sample; samples are independent.
        statistic: sums over samples, one row per resample → the number of each.
        confidence: confidence of the interval, in (0, 1).
        n_resamples: number of resamples.
        rng: source of the resamples.

    Raises:
        ValueError: there is no sample.
    """
    if not len(counts):
        raise ValueError("no samples to add up")
    exact = counts.astype(np.float64)
    sampled = rng.multinomial(len(exact), np.full(len(exact), 1 / len(exact)), n_resamples)
    whole = statistic(exact.sum(0, keepdims=True))
    return _percentiles(float(whole[0]), statistic(sampled @ exact), confidence)


def _percentiles(value: float, resampled: Float[np.ndarray, " R"], confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))
