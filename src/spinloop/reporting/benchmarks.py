"""Tables 1 to 4 of the paper: published numbers, read from a file, and those of this run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml
from spinloop.reporting.fits import refit_rows
from spinloop.reporting.results import SplitInfo, TrainingResults, made_from
from spinloop.reporting.tables import (
    METRIC_TITLES,
    MIRROR_MARK,
    Table,
    TableColumn,
    TableRow,
    estimate,
    percent,
)


class PublishedRow(BaseModel):
    """Published numbers of one method on one benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    """Key of the benchmark, as in the protocols."""
    method: str
    """Name in the table."""
    source: str
    """Key of the publication."""
    where: str
    """Table or page in it; empty where there is only one place."""
    values: dict[str, float]
    """Metric with its unit → number."""
    training: Literal["static", "unpaired", "paired"] | None = None
    """The training of this project that it corresponds to, see `TrainingResults.kind`."""

    @property
    def citation(self) -> str:
        """Publication and place in it."""
        return f"{self.source}, {self.where}" if self.where else self.source


class Published(BaseModel):
    """Contents of `published.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, str]
    """Key → citation."""
    rows: list[PublishedRow]

    def of(self, benchmark: str) -> list[PublishedRow]:
        """Rows of one benchmark, in the file's order."""
        return [row for row in self.rows if row.benchmark == benchmark]


def load_published(path: Path) -> Published:
    """Read published numbers.

    Raises:
        UserError: the file is absent or malformed, or a row names a source that is not listed.
    """
    try:
        published = Published.model_validate(load_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{path}: {where}: {fault['msg'].lower()}; correct the entry") from None
    for row in published.rows:
        for source in sorted({row.source} - set(published.sources)):
            raise UserError(f"{path}: {row.method}: source {source!r} is not under `sources`; add it there")
    return published


_MIRROR_NOTE = (
    f"{MIRROR_MARK} Measured on rendered people (a mirror). Published numbers are of real people; they are "
    "not measured on the same images and must not be compared with each other."
)
_ONE_RUN = (
    "One run of each training: the interval covers the choice of test images, not the randomness of training."
)


@dataclass(frozen=True)
class Benchmark:
    """One table of the paper."""

    number: int
    """Of the table in the paper."""
    key: str
    """Of the published rows."""
    dataset: str
    protocols: tuple[str, ...]
    """Keys of the protocols whose results belong here."""
    columns: tuple[TableColumn, ...]
    """Its metrics."""
    remark: str = ""
    """A note on the published numbers."""

    def splits(self, splits: Sequence[SplitInfo]) -> list[SplitInfo]:
        """Test splits that are measured by one of its protocols."""
        return [split for split in splits if split.protocol.split("@")[0] in self.protocols]


def _metric(key: str, digits: int = 1) -> TableColumn:
    return TableColumn(key, METRIC_TITLES[key], digits)


BENCHMARKS = (
    Benchmark(1, "pw3d", "3DPW", ("pw3d",), tuple(map(_metric, ("pa_mpjpe_mm", "mpjpe_mm", "pve_mm")))),
    Benchmark(
        2,
        "lsp",
        "LSP",
        ("lsp", "lsp_official"),
        (
            _metric("mask_accuracy_percent", 2),
            _metric("mask_f1", 3),
            _metric("parts_accuracy_percent", 2),
            _metric("parts_f1", 3),
        ),
        "Published F1 have two decimals.",
    ),
    Benchmark(
        3,
        "h36m",
        "Human3.6M",
        ("h36m_p1", "h36m_p2"),
        (_metric("pa_mpjpe_mm"), _metric("mpjpe_mm")),
        "The paper does not name this table's camera set; by convention it is the frontal one (h36m_p2).",
    ),
    Benchmark(
        4,
        "mpi_inf_3dhp",
        "MPI-INF-3DHP",
        ("mpi_inf_3dhp",),
        (
            *map(_metric, ("pck_percent", "auc_percent", "mpjpe_mm", "pa_pck_percent", "pa_auc_percent")),
            TableColumn("pa_mpjpe_mm", "Aligned: MPJPE, mm"),
        ),
    ),
)


def benchmark_table(
    benchmark: Benchmark,
    published: Published,
    trainings: Sequence[TrainingResults],
    refits: Mapping[str, Mapping[str, Any]],
    splits: Sequence[SplitInfo],
) -> Table:
    """One table of the paper: published rows, then those of this run; notes explain rows without numbers.

    Args:
        benchmark: the table.
        published: published numbers.
        trainings: with what `evaluate` wrote.
        refits: what `fit_predictions` wrote of each test split.
        splits: test splits of this run.
    """
    theirs, ours = published.of(benchmark.key), benchmark.splits(splits)
    names = [column.key for column in benchmark.columns]
    rows = [_published_row(row, names, benchmark.dataset) for row in theirs]
    rows += [row for split in ours for row in _our_rows(names, trainings, refits, split)]
    notes = [_MIRROR_NOTE] if any(split.is_mirror for split in ours) else []
    if not ours:
        rows += [_absent(training, len(names)) for training in trainings]
        wanted = " or ".join(f"`{key}`" for key in benchmark.protocols)
        notes.append(f"Not evaluated here: no split under `evaluate.splits` is measured by {wanted}.")
    notes += [benchmark.remark] if benchmark.remark else []
    notes += dict.fromkeys(note for split in ours for note in _split_notes(trainings, refits, split))
    sources = sorted({row.source for row in theirs})
    notes += [f"{key}: {published.sources[key]}." for key in sources]
    found = [training.results.get(split.key) for split in ours for training in trainings]
    found += [refits.get(split.key) for split in ours]
    return Table(
        f"table{benchmark.number}",
        f"Table {benchmark.number}. {benchmark.dataset}: as published, and of this run",
        (TableColumn("method", "Method"), *benchmark.columns, TableColumn("source", "Source")),
        tuple(rows),
        tuple(notes),
        made_from(*found),
    )


def gap_table(
    published: Published, trainings: Sequence[TrainingResults], splits: Sequence[SplitInfo]
) -> Table:
    """Every number of the paper that a training of this run corresponds to, beside that training's."""
    rows: list[TableRow] = []
    for benchmark in BENCHMARKS:
        for theirs in published.of(benchmark.key):
            for training in trainings:
                if theirs.training == training.kind:
                    for split in benchmark.splits(splits) or [None]:
                        rows += _gap_rows(benchmark, theirs, training, split)
    columns = (
        TableColumn("data", "Measured on"),
        TableColumn("training", "Training"),
        TableColumn("metric", "Metric"),
        TableColumn("paper", "Paper", 2),
        TableColumn("ours", "This run", 2),
        TableColumn("difference", "Difference", 2),
        TableColumn("ratio", "Ratio", 2),
    )
    note = (
        "On a mirror, the difference is between rendered and real images; it does not tell how well the "
        "method is reproduced."
    )
    notes = [note] if any(row.origin == "mirror" for row in rows) else []
    if any(training.kind == "static" and not training.use_3d for training in trainings):
        notes.append(
            "Static fits: the paper does not state whether its static training used 3D; this run's did not."
        )
    found = [result for training in trainings for result in training.results.values()]
    return Table(
        "gap",
        "The paper's numbers beside those of this run",
        columns,
        tuple(rows),
        tuple(notes),
        made_from(*found),
    )


def _gap_rows(
    benchmark: Benchmark, theirs: PublishedRow, training: TrainingResults, split: SplitInfo | None
) -> list[TableRow]:
    result = training.results.get(split.key, {}) if split else {}
    where = split.label if split else f"{benchmark.dataset}, not evaluated"
    rows = []
    for column in benchmark.columns:
        if column.key in theirs.values:
            paper, ours = theirs.values[column.key], result.get(column.key)
            gap = (None, None, None) if ours is None else (ours, ours - paper, ours / paper)
            origin = "absent" if split is None or ours is None else split.origin
            cells = (where, training.label, column.title, paper, *gap)
            rows.append(TableRow(cells, origin, benchmark.dataset))
    return rows


def _published_row(row: PublishedRow, names: list[str], dataset: str) -> TableRow:
    return TableRow(
        (row.method, *(row.values.get(name) for name in names), row.citation), "published", dataset
    )


def _our_rows(
    names: list[str],
    trainings: Sequence[TrainingResults],
    refits: Mapping[str, Mapping[str, Any]],
    split: SplitInfo,
) -> list[TableRow]:
    rows = []
    for training in trainings:
        result = training.results.get(split.key)
        if result is None:
            rows.append(_absent(training, len(names)))
            continue
        cells = (estimate(result, metric) for metric in names)
        source = f"this run, {split.protocol}"
        rows.append(TableRow((f"spinloop ({training.label})", *cells, source), split.origin, split.subset))
    fits = refits.get(split.key, {"n": 0})
    for label, start in refit_rows(fits, trainings) if fits["n"] else ():
        cells = (estimate(start["fit"], metric) for metric in names)
        source = f"this run, {split.protocol}, sees 2D joints"
        rows.append(TableRow((label, *cells, source), split.origin, split.subset))
    return rows


def _absent(training: TrainingResults, n_metrics: int) -> TableRow:
    return TableRow((f"spinloop ({training.label})", *[None] * n_metrics, "this run"), "absent")


def _split_notes(
    trainings: Sequence[TrainingResults], refits: Mapping[str, Mapping[str, Any]], split: SplitInfo
) -> list[str]:
    results = [training.results[split.key] for training in trainings if split.key in training.results]
    if not results:
        return [f"{split.label}: no result of `evaluate` was found."]
    first = results[0]
    if first["n_groups"] < first["n"]:
        people = f"{first['n']:,} people in {first['n_groups']:,} sequences"
        resampled = "whole sequences"
    else:
        people, resampled = f"{first['n']:,} people", "people"
    notes = [
        f"{split.protocol}: {people}, {split.label}. "
        f"Brackets: {percent(first['confidence'])} bootstrap interval, {resampled} resampled.",
        _ONE_RUN,
    ]
    fits = refits.get(split.key)
    if fits is not None and not fits["n"]:
        notes.append(f"{split.label}: no 2D joints are annotated, so its images have no fits.")
    elif fits is not None and fits["n_without_keypoints"]:
        left_out = fits["n_without_keypoints"]
        notes.append(f"SMPLify rows are over {fits['n']:,} people; {left_out:,} have too few 2D joints.")
    return notes
