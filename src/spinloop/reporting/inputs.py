"""Everything that the report is built from, read from the outputs of earlier stages."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spinloop.body.model import BodyModel
from spinloop.datasets.raw_files import Summary
from spinloop.evaluation.truth import NEUTRAL
from spinloop.files import sha256_of, sha256_of_files
from spinloop.params.datasets import RawParams, SourcesParams
from spinloop.params.evaluation import EvaluateParams, ReportParams
from spinloop.params.fitting import BodyParams
from spinloop.params.training import NetworkParams, SettingsParams, TrainParams
from spinloop.reporting.benchmarks import Published
from spinloop.reporting.breakdowns import OcclusionErrors, occlusion_errors
from spinloop.reporting.differences import Comparison, compare_trainings
from spinloop.reporting.figures import FigureSheets, figure_sheets
from spinloop.reporting.fits import FitCounts, origin_counts, status_counts
from spinloop.reporting.page import Viewer, make_viewer
from spinloop.reporting.results import (
    SplitInfo,
    TrainingResults,
    load_raw_summaries,
    load_refits,
    load_starts,
    load_statistics,
    load_trainings,
    split_info,
)
from spinloop.reporting.splits import ReportFolders, load_evaluated, load_fitted
from spinloop.reporting.tables import Table, TableColumn, TableRow

_RESULT_FILES = (".csv", ".h5", ".json", ".parquet")


class ReportParameters(NamedTuple):
    """The sections of the parameters that the report depends on."""

    evaluate: EvaluateParams
    report: ReportParams
    settings: SettingsParams
    network: NetworkParams
    train: TrainParams
    raw: RawParams
    sources: SourcesParams
    body: BodyParams


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the report is built from."""

    trainings: Sequence[TrainingResults]
    """Figures of one training are of the last."""
    trains: Sequence[SplitInfo]
    """Training splits whose fits were measured."""
    tests: Sequence[SplitInfo]
    """Test splits."""
    starts: Mapping[str, Mapping[str, Any]]
    """Training split → its offline fits by start."""
    refits: Mapping[str, Mapping[str, Any]]
    """Test split → its fits from every start."""
    comparisons: Sequence[Comparison]
    """Pairs of trainings, compared over the same people."""
    confidence: float
    """Of the intervals of these comparisons, in (0, 1)."""
    occlusion: Mapping[str, OcclusionErrors]
    """Test split → errors of visible and hidden joints."""
    recipe: str
    """What the trainings have in common."""
    published: Published
    statistics: Mapping[str, Mapping[str, Any]]
    """Name of a stage and split → what it read and kept."""
    statistics_lineage: str
    statuses: Mapping[str, FitCounts]
    """Training split → how its offline fits ended."""
    origins: Mapping[str, FitCounts]
    """Training split → which stage made its best fits after the last training in the loop."""
    figures: FigureSheets
    viewer: Viewer | None
    lineage: Table
    """What the report was made from."""
    is_free_body: bool
    """Whether the body is the free one, not SMPL."""


def load_inputs(
    folders: ReportFolders,
    files: Sequence[Path],
    bodies: Mapping[str, BodyModel],
    published: Published,
    params: ReportParameters,
) -> ReportInputs:
    """Read everything that exists of the trainings of `settings` on the splits of `evaluate`.

    Args:
        folders: outputs of earlier stages.
        files: other inputs that the lineage names.
        bodies: `neutral`, `female` and `male`.
        published: published numbers.
        params: sections of the parameters.

    Raises:
        UserError: a file is faulty or belongs to another setting or split.
    """
    measuring, sources = params.evaluate, params.sources
    tests = [split_info(key, sources, protocol) for key, protocol in measuring.splits.items()]
    trains = [split_info(key, sources) for key in measuring.dictionaries]
    test_keys, train_keys = list(measuring.splits), list(measuring.dictionaries)
    trainings = load_trainings(
        params.settings.root, test_keys, train_keys, folders.metrics, folders.training, folders.dictionary
    )
    evaluated = [each for split in tests if (each := load_evaluated(split, trainings, folders))]
    fitted = [each for split in trains if (each := load_fitted(split, trainings, folders))]
    values = {key: section.model_dump() for key, section in params._asdict().items()}
    raw = load_raw_summaries(folders.statistics, params.raw.root)
    inputs = [*_files_in(folder for folder in folders if folder != folders.statistics), *files]
    return ReportInputs(
        trainings=trainings,
        trains=trains,
        tests=tests,
        starts=load_starts(folders.metrics / "starts", train_keys),
        refits=load_refits(folders.metrics / "fits", test_keys),
        comparisons=compare_trainings(trainings, evaluated, measuring),
        confidence=measuring.confidence,
        occlusion={each.split.key: errors for each in evaluated if (errors := occlusion_errors(each))},
        recipe=describe_recipe(values["network"], values["train"]),
        published=published,
        statistics=load_statistics(folders.statistics),
        statistics_lineage=f"statistics {sha256_of_files(_files_in([folders.statistics]))}",
        statuses={each.split.key: status_counts(each) for each in fitted},
        origins={each.split.key: origin_counts(each) for each in fitted},
        figures=figure_sheets(fitted, evaluated, bodies[NEUTRAL], params.report),
        viewer=make_viewer(evaluated[0], bodies, params.report) if evaluated else None,
        lineage=lineage_table(inputs, list(dict.fromkeys(measuring.splits.values())), values, raw),
        is_free_body=params.body.source == "free",
    )


def _files_in(folders: Iterable[Path]) -> list[Path]:
    """All results in some folders and below them, sorted; one folder may contain another."""
    found = {path for folder in folders for path in folder.rglob("*")}
    return sorted(path for path in found if path.is_file() and path.suffix in _RESULT_FILES)


def lineage_table(
    files: Sequence[Path],
    protocols: Sequence[str],
    sections: Mapping[str, Any],
    datasets: Mapping[str, Summary],
) -> Table:
    """Protocols, parameters, raw data and inputs behind the numbers, by content.

    Args:
        files: what the report was made from.
        protocols: names and versions.
        sections: name of a parameter section → its values.
        datasets: names of raw data → summaries of their lists of files.
    """
    rows = [TableRow(("protocol", protocol, "")) for protocol in protocols]
    for name, listed in datasets.items():
        size = f"{name}: {listed.files} files, {listed.bytes} bytes"
        rows.append(TableRow(("raw data", size, listed.sha256)))
    for name, values in sections.items():
        content = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        rows.append(TableRow((f"params: {name}", "", sha256_of(content))))
    rows += [TableRow(("input", path.as_posix(), sha256_of(path))) for path in sorted(set(files))]
    return Table(
        "lineage",
        "What these numbers were made from",
        (
            TableColumn("kind", "Kind"),
            TableColumn("name", "Name"),
            TableColumn("sha256", "SHA-256, first 16 digits"),
        ),
        tuple(rows),
    )


def describe_recipe(network: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    """What the trainings have in common.

    Args:
        network: section `network` of the parameters.
        train: section `train` of the parameters.
    """
    return (
        f"All trainings share the network ({network['backbone']}, width {network['width']}, images of "
        f"{network['image_px']} px), its initial weights, the order and augmentation of the images and "
        f"{train['n_steps']:,} steps of {train['batch_size']} images; they differ as follows. "
        "The paper's network is a ResNet-50 on images of 224 px, trained much longer on the six real "
        "datasets."
    )
