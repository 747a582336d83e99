"""Glue of the report: results of earlier stages, brought together by split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from spinloop.evaluation.predict import Scored, load_scored, paired_change
from spinloop.evaluation.protocols import Protocol, find_protocol
from spinloop.evaluation.scores import sequence_labels
from spinloop.evaluation.truth import rows_of
from spinloop.files import sha256_of
from spinloop.joints import COMMON24_TO_J17, PROTOCOL17
from spinloop.params.datasets import SourcesParams
from spinloop.params.evaluation import EvaluateParams
from spinloop.reporting.comparisons import Comparison, pairs
from spinloop.reporting.results import Counted, Occlusion, Setting, Split, count_names, measure_occlusion
from spinloop.reporting.sentences import Change
from spinloop.tables.fits import ORIGINS, STATUSES, FitStore
from spinloop.tables.records import column_array, load_records

_RESULTS = (".csv", ".h5", ".json", ".parquet")


@dataclass(frozen=True)
class Tested:
    """A test split with predictions: its people, what was predicted of them, what was fitted."""

    split: Split
    settings: Sequence[Setting]
    """Those that predicted."""
    scored: Sequence[Scored]
    """Predictions of each, for the same people."""
    records: pd.DataFrame
    """The people, in the order of the predictions."""
    fitted: Scored | None
    """Fits from the last setting's predictions, of some of the people; None if nobody was fitted."""
    annotations: Path
    """The split's table."""
    crops: Path
    """Its packed crops."""

    @property
    def metric(self) -> str:
        """The number that people are ranked by."""
        return "pa_mpjpe_mm" if "pa_mpjpe_mm" in self.scored[-1].errors else "parts_f1"


def split_of(key: str, sources: SourcesParams, protocol: str = "") -> Split:
    """Where the people of a split come from.

    Args:
        key: the split's.
        sources: section `sources`; a dataset below a folder named `mirror` is one.
        protocol: that measures it.
    """
    source = sources.root.get(key)
    if source is None:
        return Split(key, key, False, protocol)
    return Split(key, source.reader, "mirror" in Path(source.raw).parts, protocol)


def load_tested(
    split: Split, settings: Sequence[Setting], predictions: Path, fits: Path, annotations: Path, crops: Path
) -> Tested | None:
    """What is known of a test split; None if nobody predicted it."""
    paths = {setting.name: predictions / split.key / f"{setting.name}.h5" for setting in settings}
    known = [setting for setting in settings if paths[setting.name].is_file()]
    if not known:
        return None
    scored = load_scored([paths[setting.name] for setting in known])
    table = annotations / f"{split.key}.parquet"
    records = load_records(table)
    records = records.iloc[rows_of(records["id"].tolist(), scored[0].predictions.ids, table)]
    path = fits / split.key / f"network_{known[-1].name}.h5"
    fitted = load_scored([path])[0] if path.is_file() else None
    if fitted is not None and not fitted.predictions.ids:
        fitted = None
    return Tested(split, known, scored, records, fitted, table, crops / f"{split.key}.h5")


def compare_settings(
    settings: Sequence[Setting], tested: Sequence[Tested], params: EvaluateParams
) -> list[Comparison]:
    """The trainings that are to be compared, on every split that both have predicted."""
    comparisons = []
    for first, second in pairs(settings):
        changes = {each.split.key: _change(each, first, second, params) for each in tested}
        known = {key: change for key, change in changes.items() if change is not None}
        comparisons.append(Comparison(first, second, known))
    return comparisons


def _change(tested: Tested, first: Setting, second: Setting, params: EvaluateParams) -> Change | None:
    """The second's error minus the first's; None where one of them predicted nothing."""
    names = [setting.name for setting in tested.settings]
    if first.name not in names or second.name not in names:
        return None
    protocol, groups = find_protocol(tested.split.protocol), sequence_labels(tested.records)
    one, other = (tested.scored[names.index(each.name)].scores(protocol) for each in (first, second))
    change = paired_change(one, other, tested.metric, groups, **params.bootstrap)
    return Change(*change, len(tested.records), tested.metric)


def occlusion_of(tested: Tested) -> Occlusion | None:
    """Errors of the last setting's joints that are seen in 2D and of those that are not."""
    protocol = find_protocol(tested.split.protocol)
    if not isinstance(protocol, Protocol):
        return None
    rows = [COMMON24_TO_J17[PROTOCOL17.index(name)] for name in protocol.joints]
    confidence = np.nan_to_num(column_array(tested.records, "keypoints")[:, rows, 2])
    errors = tested.scored[-1].errors["joint_pa_mpjpe_mm"]
    return measure_occlusion(tested.settings[-1].label, protocol.joints, errors, confidence > 0)


class TrainFolders(NamedTuple):
    """Where results on training splits lie."""

    initial_fits: Path
    final_fits: Path
    predictions: Path
    annotations: Path
    crops: Path


@dataclass(frozen=True)
class Trained:
    """A training split and its fits before and after a training."""

    split: Split
    setting: Setting
    people: Path
    """Each person's error before and after (CSV of `evaluate_fits`)."""
    before: FitStore
    after: FitStore
    lineage: tuple[str, str]
    """Hashes of the files of both."""
    records: pd.DataFrame
    crops: Path

    @property
    def statuses(self) -> Counted:
        """How the offline fits ended → people."""
        counts = count_names(self.before.array("status"), STATUSES)
        return Counted(counts, f"fits before training {self.lineage[0]}")

    @property
    def origins(self) -> Counted:
        """Where the best fits came from after training → people."""
        counts = count_names(self.after.array("origin"), ORIGINS)
        return Counted(counts, f"fits after training {self.lineage[1]}")


def load_dictionary(split: Split, settings: Sequence[Setting], folders: TrainFolders) -> Trained | None:
    """Fits of a training split before and after a training; None if they are not all there.

    The training is the last one in the loop, or the last one where none is.
    """
    last = next((setting for setting in reversed(settings) if setting.loop), settings[-1])
    people = folders.predictions / split.key / f"fits_{last.name}.csv"
    after = folders.final_fits / last.name / f"{split.key}.h5"
    before, table = folders.initial_fits / f"{split.key}.h5", folders.annotations / f"{split.key}.parquet"
    if not all(path.is_file() for path in (people, after, before, table)):
        return None
    stores, crops = (FitStore.open(before), FitStore.open(after)), folders.crops / f"{split.key}.h5"
    lineage = (sha256_of(before), sha256_of(after))
    return Trained(split, last, people, *stores, lineage, load_records(table), crops)


def files_in(folders: Sequence[Path]) -> list[Path]:
    """All results in some folders and below them, sorted; one folder may lie in another."""
    found = {path for folder in folders for path in folder.rglob("*")}
    return sorted(path for path in found if path.is_file() and path.suffix in _RESULTS)
