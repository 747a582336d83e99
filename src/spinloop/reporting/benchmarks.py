"""Numbers that others published: data with a source, never code.

Tables 1 to 4 of the paper, with our rows beside the published ones, and the gap between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml
from spinloop.reporting.results import Setting, Split, estimate, made_from
from spinloop.reporting.sentences import percent
from spinloop.reporting.table import MIRROR_MARK, Column, Row, Table
from spinloop.reporting.tables import refit_rows


class PublishedRow(BaseModel):
    """One method's numbers on one benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    """Key of the benchmark, as in the protocols."""
    method: str
    """As it is named in the table."""
    source: str
    """Key of the publication."""
    where: str
    """Table or page in it; empty where there is only one place."""
    values: dict[str, float]
    """Metric with its unit → number."""
    training: Literal["static", "unpaired", "paired"] | None = None
    """The kind of training of this project that it corresponds to, see `Setting.kind`."""
    read_in: str | None = None
    """Another publication, and the place in it, where the same numbers were read."""
    checked: bool = True
    """Whether the numbers were read in the source or in `read_in`."""

    @property
    def citation(self) -> str:
        """Publication and place in it, and where or whether the number was read."""
        place = f"{self.source}, {self.where}" if self.where else self.source
        if self.read_in is not None:
            return f"{place}; {self.read_in}"
        return place if self.checked else f"{place} (not checked)"

    @property
    def sources(self) -> set[str]:
        """Keys of the publications that it names."""
        return {self.source} | ({self.read_in.split(",")[0]} if self.read_in else set())


class Published(BaseModel):
    """Everything that `published.yaml` holds."""

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
        for source in sorted(row.sources - set(published.sources)):
            raise UserError(f"{path}: {row.method}: source {source!r} is not under `sources`; add it there")
    return published


_MIRROR_NOTE = (
    f"{MIRROR_MARK} Measured on rendered people (a mirror). Published numbers are of real people; they are "
    "not measured on the same images and must not be compared with each other."
)
_ONE_RUN = "One training run per setting: the interval speaks of other test images, not of another run."


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
    columns: tuple[Column, ...]
    """Its metrics."""
    remark: str = ""
    """What must be known of the published numbers."""

    def splits(self, splits: Sequence[Split]) -> list[Split]:
        """Test splits that belong here."""
        return [split for split in splits if split.protocol.split("@")[0] in self.protocols]


_PA, _MPJPE = Column("pa_mpjpe_mm", "PA-MPJPE, mm"), Column("mpjpe_mm", "MPJPE, mm")
BENCHMARKS = (
    Benchmark(1, "pw3d", "3DPW", ("pw3d",), (_PA, _MPJPE, Column("pve_mm", "PVE, mm"))),
    Benchmark(
        2,
        "lsp",
        "LSP",
        ("lsp", "lsp_official"),
        (
            Column("mask_accuracy_percent", "Mask accuracy, %", 2),
            Column("mask_f1", "Mask F1", 3),
            Column("parts_accuracy_percent", "Parts accuracy, %", 2),
            Column("parts_f1", "Parts F1", 3),
        ),
        "Published F1 have two decimals.",
    ),
    Benchmark(
        3,
        "h36m",
        "Human3.6M",
        ("h36m_p1", "h36m_p2"),
        (_PA, _MPJPE),
        "The paper does not name this table's camera set; by convention it is the frontal one (h36m_p2).",
    ),
    Benchmark(
        4,
        "mpi_inf_3dhp",
        "MPI-INF-3DHP",
        ("mpi_inf_3dhp",),
        (
            Column("pck_percent", "PCK, %"),
            Column("auc_percent", "AUC, %"),
            _MPJPE,
            Column("pa_pck_percent", "Aligned: PCK, %"),
            Column("pa_auc_percent", "Aligned: AUC, %"),
            Column("pa_mpjpe_mm", "Aligned: MPJPE, mm"),
        ),
    ),
)


def benchmark_table(
    benchmark: Benchmark,
    published: Published,
    settings: Sequence[Setting],
    refits: Mapping[str, Mapping[str, Any]],
    splits: Sequence[Split],
) -> Table:
    """One table of the paper: published rows, then ours; cells that nothing fills are explained.

    Args:
        benchmark: which.
        published: numbers of others.
        settings: our trainings.
        refits: what `fit_predictions` wrote of each test split.
        splits: our test splits.
    """
    theirs, ours = published.of(benchmark.key), benchmark.splits(splits)
    names = [column.key for column in benchmark.columns]
    rows = [_published_row(row, names, benchmark.dataset) for row in theirs]
    rows += [row for split in ours for row in _our_rows(names, settings, refits, split)]
    notes = [_MIRROR_NOTE] if any(split.is_mirror for split in ours) else []
    if not ours:
        rows += [_absent(setting, len(names)) for setting in settings]
        wanted = " or ".join(f"`{key}`" for key in benchmark.protocols)
        notes.append(f"Not evaluated here: no split under `evaluate.splits` is measured by {wanted}.")
    notes += [benchmark.remark] if benchmark.remark else []
    notes += dict.fromkeys(note for split in ours for note in _split_notes(settings, refits, split))
    if any(row.read_in for row in theirs):
        notes.append("Where two sources stand, the number was read in the second.")
    if any(not row.checked for row in theirs):
        notes.append("Not checked: typed as the field quotes this table; not yet read in print.")
    sources = sorted(set[str]().union(*(row.sources for row in theirs)))
    notes += [f"{key}: {published.sources[key]}." for key in sources]
    found = [setting.results.get(split.key) for split in ours for setting in settings]
    found += [refits.get(split.key) for split in ours]
    return Table(
        f"table{benchmark.number}",
        f"Table {benchmark.number}. {benchmark.dataset}: as published, and of this run",
        (Column("method", "Method"), *benchmark.columns, Column("source", "Source")),
        tuple(rows),
        tuple(notes),
        made_from(*found),
    )


def gap_table(published: Published, settings: Sequence[Setting], splits: Sequence[Split]) -> Table:
    """Every number of the paper that one of our trainings corresponds to, and ours."""
    rows: list[Row] = []
    for benchmark in BENCHMARKS:
        for theirs in published.of(benchmark.key):
            for setting in settings:
                if theirs.training == setting.kind:
                    for split in benchmark.splits(splits) or [None]:
                        rows += _gap_rows(benchmark, theirs, setting, split)
    columns = (
        Column("data", "Measured on"),
        Column("training", "Training"),
        Column("metric", "Metric"),
        Column("paper", "Paper", 2),
        Column("ours", "This run", 2),
        Column("difference", "Difference", 2),
        Column("ratio", "Ratio", 2),
    )
    note = "A mirror's gap says how far this run is from the paper's numbers, not how far the method is."
    notes = [note] if any(row.origin == "mirror" for row in rows) else []
    if any(setting.kind == "static" and not setting.use_3d for setting in settings):
        notes.append(
            "Static fits: the paper does not say whether its static training used 3D; this run's did not."
        )
    found = [result for setting in settings for result in setting.results.values()]
    return Table(
        "gap",
        "The paper's numbers beside those of this run",
        columns,
        tuple(rows),
        tuple(notes),
        made_from(*found),
    )


def _gap_rows(benchmark: Benchmark, theirs: PublishedRow, setting: Setting, split: Split | None) -> list[Row]:
    result = setting.results.get(split.key, {}) if split else {}
    where = split.label if split else f"{benchmark.dataset}, not evaluated"
    rows = []
    for column in benchmark.columns:
        if column.key in theirs.values:
            paper, ours = theirs.values[column.key], result.get(column.key)
            gap = (None, None, None) if ours is None else (ours, ours - paper, ours / paper)
            origin = "absent" if split is None or ours is None else split.origin
            cells = (where, setting.label, column.title, paper, *gap)
            rows.append(Row(cells, origin, benchmark.dataset))
    return rows


def _published_row(row: PublishedRow, names: list[str], dataset: str) -> Row:
    return Row((row.method, *(row.values.get(name) for name in names), row.citation), "published", dataset)


def _our_rows(
    names: list[str], settings: Sequence[Setting], refits: Mapping[str, Mapping[str, Any]], split: Split
) -> list[Row]:
    rows = []
    for setting in settings:
        result = setting.results.get(split.key)
        if result is None:
            rows.append(_absent(setting, len(names)))
            continue
        cells = (estimate(result, metric) for metric in names)
        source = f"this run, {split.protocol}"
        rows.append(Row((f"spinloop ({setting.label})", *cells, source), split.origin, split.place))
    fits = refits.get(split.key, {"n": 0})
    for label, start in refit_rows(fits, settings) if fits["n"] else ():
        cells = (estimate(start["fit"], metric) for metric in names)
        source = f"this run, {split.protocol}, sees 2D joints"
        rows.append(Row((label, *cells, source), split.origin, split.place))
    return rows


def _absent(setting: Setting, n_metrics: int) -> Row:
    return Row((f"spinloop ({setting.label})", *[None] * n_metrics, "this run"), "absent")


def _split_notes(
    settings: Sequence[Setting], refits: Mapping[str, Mapping[str, Any]], split: Split
) -> list[str]:
    results = [setting.results[split.key] for setting in settings if split.key in setting.results]
    if not results:
        return [f"{split.label}: no result of `evaluate` was found."]
    first = results[0]
    if first["n_groups"] < first["n"]:
        people = f"{first['n']:,} people in {first['n_groups']:,} sequences"
        drawn = "whole sequences resampled"
    else:
        people, drawn = f"{first['n']:,} people", "people resampled"
    notes = [
        f"{split.protocol}: {people}, {split.label}. "
        f"Brackets: {percent(first['confidence'])} bootstrap interval, {drawn}.",
        _ONE_RUN,
    ]
    fits = refits.get(split.key)
    if fits is not None and not fits["n"]:
        notes.append(f"{split.label}: no 2D joints are annotated, so nothing was fitted to its images.")
    elif fits is not None and fits["n_without_keypoints"]:
        left_out = fits["n_without_keypoints"]
        notes.append(f"SMPLify rows are over {fits['n']:,} people; {left_out:,} have too few 2D joints.")
    return notes
