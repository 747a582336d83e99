"""The people of the report's splits: their annotations and crops, predictions and fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from spinloop.evaluation.predictions import StoredPredictions, load_predictions, load_same_people
from spinloop.evaluation.truth import rows_of
from spinloop.files import sha256_of
from spinloop.reporting.results import SplitInfo, TrainingResults
from spinloop.tables.fits import FitStore
from spinloop.tables.records import load_records


@dataclass(frozen=True)
class EvaluatedSplit:
    """A test split with predictions of at least one training."""

    split: SplitInfo
    trainings: Sequence[TrainingResults]
    """Those whose predictions were found."""
    scored: Sequence[StoredPredictions]
    """Predictions of each training, for the same people."""
    records: pd.DataFrame
    """The people, in the order of the predictions."""
    fitted: StoredPredictions | None
    """Fits that started at the last training's predictions, of some of the people; None if there are none."""
    annotations: Path
    """The split's table."""
    crops: Path
    """The split's packed crops."""

    @property
    def metric(self) -> str:
        """Key of the metric that ranks people."""
        return "pa_mpjpe_mm" if "pa_mpjpe_mm" in self.scored[-1].errors else "parts_f1"

    @property
    def metric_title(self) -> str:
        """Name of that metric in a sentence."""
        return "PA-MPJPE" if self.metric == "pa_mpjpe_mm" else "F1 of parts"


@dataclass(frozen=True)
class FittedSplit:
    """A training split with its fits before and after a training."""

    split: SplitInfo
    training: TrainingResults
    errors: Path
    """Each person's error before and after (CSV of `evaluate_fits`)."""
    before: FitStore
    after: FitStore
    before_sha256: str
    """First 16 digits, of the file."""
    after_sha256: str
    """First 16 digits, of the file."""
    records: pd.DataFrame
    crops: Path


class ReportFolders(NamedTuple):
    """Folders that the report is read from."""

    metrics: Path
    """Metrics of `evaluate`; in `fits`, `starts` and `dictionary` those of fits."""
    training: Path
    """Training curves."""
    dictionary: Path
    """Quality of the dictionaries by step."""
    statistics: Path
    """Statistics of earlier stages, each file named after its stage and split."""
    predictions: Path
    """`evaluate`'s predictions, and each person's error from `evaluate_fits`."""
    test_fits: Path
    initial_fits: Path
    final_fits: Path
    annotations: Path
    crops: Path


def load_evaluated(
    split: SplitInfo, trainings: Sequence[TrainingResults], folders: ReportFolders
) -> EvaluatedSplit | None:
    """Read predictions and fits of a test split; None if there are no predictions."""
    paths = {each.name: folders.predictions / split.key / f"{each.name}.h5" for each in trainings}
    known = [each for each in trainings if paths[each.name].is_file()]
    if not known:
        return None
    scored = load_same_people([paths[each.name] for each in known])
    table = folders.annotations / f"{split.key}.parquet"
    records = load_records(table)
    records = records.iloc[rows_of(records["id"].tolist(), scored[0].predictions.ids, table)]
    path = folders.test_fits / split.key / f"network_{known[-1].name}.h5"
    fitted = load_predictions(path) if path.is_file() else None
    if fitted is not None and not fitted.predictions.ids:
        fitted = None
    return EvaluatedSplit(split, known, scored, records, fitted, table, folders.crops / f"{split.key}.h5")


def load_fitted(
    split: SplitInfo, trainings: Sequence[TrainingResults], folders: ReportFolders
) -> FittedSplit | None:
    """Read the fits of a training split before and after a training; None if a file is absent.

    The training is the last one in the loop, or the last one if none is in the loop.
    """
    last = next((each for each in reversed(trainings) if each.loop), trainings[-1])
    errors = folders.predictions / split.key / f"fits_{last.name}.csv"
    before = folders.initial_fits / f"{split.key}.h5"
    after = folders.final_fits / last.name / f"{split.key}.h5"
    table = folders.annotations / f"{split.key}.parquet"
    if not all(path.is_file() for path in (errors, before, after, table)):
        return None
    return FittedSplit(
        split=split,
        training=last,
        errors=errors,
        before=FitStore.open(before),
        after=FitStore.open(after),
        before_sha256=sha256_of(before),
        after_sha256=sha256_of(after),
        records=load_records(table),
        crops=folders.crops / f"{split.key}.h5",
    )
