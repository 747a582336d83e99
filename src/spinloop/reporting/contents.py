"""The sections of the report, put together from results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinloop.datasets.raw_files import Summary
from spinloop.files import sha256_of
from spinloop.reporting import curves, tables
from spinloop.reporting.benchmarks import BENCHMARKS, Benchmark, Published, benchmark_table, gap_table
from spinloop.reporting.charts import Chart
from spinloop.reporting.comparisons import Comparison, comparison_sentences, comparisons_table
from spinloop.reporting.pages import Report, Section, Viewer
from spinloop.reporting.pictures import Sheet
from spinloop.reporting.results import Counted, Occlusion, Setting, Split
from spinloop.reporting.sentences import (
    FREE_BODY,
    LICENSED,
    LINEAGE,
    METRICS,
    MIRRORED,
    STEP,
    dictionary_sentence,
    settings_in_words,
)
from spinloop.reporting.table import Column, Row, Table
from spinloop.reporting.tables import fits_table, refits_table, starts_table


@dataclass(frozen=True)
class Pictures:
    """Figures of people."""

    overview: tuple[Sheet, ...]
    """One step of the loop: image, network, fit."""
    fits: tuple[Sheet, ...]
    """Fits before and after training."""
    predictions: tuple[Sheet, ...]
    """Predictions on each test split."""
    worst: tuple[Sheet, ...]
    """The worst predictions of each test split."""
    viewer: Viewer | None
    """Meshes to turn."""


@dataclass(frozen=True)
class Material:
    """Everything that the report is made of."""

    settings: Sequence[Setting]
    """The trainings; figures of one training are of the last."""
    trains: Sequence[Split]
    """Training splits whose fits were measured."""
    tests: Sequence[Split]
    """Test splits."""
    starts: Mapping[str, Mapping[str, Any]]
    """Training split → its offline fits by start."""
    refits: Mapping[str, Mapping[str, Any]]
    """Test split → its fits from every start."""
    comparisons: Sequence[Comparison]
    """Trainings against each other, person by person."""
    confidence: float
    """Of the intervals of these comparisons, in (0, 1)."""
    occlusion: Mapping[str, Occlusion]
    """Test split → errors of seen and hidden joints."""
    recipe: str
    """What the trainings have in common."""
    published: Published
    """Numbers of others."""
    stats: Mapping[str, Mapping[str, Any]]
    """Name of a step → what it read and kept."""
    stats_lineage: str
    """What these were read from."""
    statuses: Mapping[str, Counted]
    """Training split → how its offline fits ended → people."""
    origins: Mapping[str, Counted]
    """Training split → where its best fits came from after the last training in the loop → people."""
    pictures: Pictures
    lineage: Table
    """What the numbers were made from."""
    is_free_body: bool
    """Whether the body is the free one, not SMPL."""

    @property
    def is_free(self) -> bool:
        """Whether no licensed body and no real image is involved."""
        return self.is_free_body and all(split.is_mirror for split in [*self.trains, *self.tests])


def build_report(material: Material) -> Report:
    """The whole report; a section without content is left out."""
    pictures = material.pictures
    sections = (
        _comparisons_section(material),
        *(_benchmark_section(material, benchmark) for benchmark in BENCHMARKS),
        Section("gap", "Gap to the paper", tables=(_gap(material),)),
        _fits_section(material),
        Section(
            "figure2",
            "One step of the loop (Figures 2 and 3)",
            (STEP,) if pictures.overview else (),
            sheets=pictures.overview,
        ),
        Section("figure4", "Fits before and after training (Figure 4)", sheets=pictures.fits),
        Section(
            "figure5",
            "Predictions on test images (Figure 5)",
            sheets=pictures.predictions,
            viewer=pictures.viewer,
        ),
        Section("figure6", "Worst cases (Figure 6)", sheets=pictures.worst),
        _errors_section(material),
        Section("training", "Training", charts=curves.training_charts(material.settings)),
        Section("data", "Data", tables=(tables.stats_table(material.stats, material.stats_lineage),)),
        Section("lineage", "Lineage", (LINEAGE,), tables=(material.lineage,)),
        Section(
            "licences",
            "Licences",
            (FREE_BODY, LICENSED) if material.is_free else (LICENSED,),
        ),
    )
    compared = (material.comparisons, material.tests, material.confidence)
    lead = comparison_sentences(*compared)
    lead += [dictionary_sentence(material.settings, train) for train in material.trains]
    lead += [MIRRORED] if any(split.is_mirror for split in material.tests) else []
    kept = tuple(section for section in sections if not section.is_empty)
    return Report("spinloop: model fitting in the loop, evaluated", tuple(filter(None, lead)), kept)


def _comparisons_section(material: Material) -> Section:
    table = comparisons_table(material.comparisons, material.tests, material.confidence)
    paragraphs = (material.recipe, *settings_in_words(material.settings))
    return Section("trainings", "The trainings", paragraphs, () if table is None else (table,))


def _benchmark_section(material: Material, benchmark: Benchmark) -> Section:
    ours = (material.settings, material.refits, material.tests)
    table = benchmark_table(benchmark, material.published, *ours)
    paragraphs = (METRICS,) if benchmark.number == 1 else ()
    return Section(table.key, f"{benchmark.dataset} (Table {benchmark.number})", paragraphs, (table,))


def _gap(material: Material) -> Table:
    return gap_table(material.published, material.settings, material.tests)


def _fits_section(material: Material) -> Section:
    settings, trains = material.settings, material.trains
    found = [
        table
        for train in trains
        if (starts := material.starts.get(train.key))
        for table in (starts_table(starts, train), fits_table(starts, settings, train))
    ]
    fitted = [split for split in material.tests if material.refits.get(split.key, {"n": 0})["n"]]
    found += [refits_table(material.refits[split.key], settings, split) for split in fitted]
    for train in trains:
        counts = (
            (f"statuses_{train.key}", "How the offline fits ended", "Status", material.statuses),
            (f"origins_{train.key}", "Origin of the best fits after training", "Origin", material.origins),
        )
        for key, title, heading, found_of in counts:
            if train.key in found_of:
                found.append(
                    tables.counts_table(key, f"{title} ({train.label})", heading, found_of[train.key])
                )
    charts = [chart for train in trains for chart in curves.dictionary_charts(settings, train)]
    return Section("fits", "Fits", (), tuple(found), tuple(charts))


def _errors_section(material: Material) -> Section:
    shown, drawn = _error_tables(material), _error_charts(material)
    return Section("errors", "Where the errors are", tables=shown, charts=drawn)


def _error_tables(material: Material) -> tuple[Table, ...]:
    masks = [split for split in material.tests if _compares_masks(material.settings, split)]
    parts = [tables.parts_table(material.settings, split) for split in masks]
    return (*parts, *tables.breakdown_tables(material.settings, material.tests))


def _compares_masks(settings: Sequence[Setting], split: Split) -> bool:
    return any("mask_f1" in setting.results.get(split.key, {}) for setting in settings)


def _error_charts(material: Material) -> tuple[Chart, ...]:
    joints = (curves.joints_chart(material.settings, split) for split in material.tests)
    hidden = curves.occlusion_charts(material.occlusion, material.tests)
    return (*(chart for chart in joints if chart is not None), *hidden)


def lineage_table(
    files: Sequence[Path],
    protocols: Sequence[str],
    sections: Mapping[str, Any],
    datasets: Mapping[str, Summary],
) -> Table:
    """Protocol, parameters, raw data and inputs behind the numbers, by content.

    Args:
        files: what the report was made from.
        protocols: names and versions.
        sections: name of a parameter section → its values.
        datasets: names of raw data → what their lists come to.
    """
    rows = [Row(("protocol", protocol, "")) for protocol in protocols]
    for name, listed in datasets.items():
        rows.append(Row(("raw data", f"{name}: {listed.files} files, {listed.bytes} bytes", listed.sha256)))
    for name, values in sections.items():
        content = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        rows.append(Row((f"params: {name}", "", sha256_of(content))))
    rows += [Row(("input", path.as_posix(), sha256_of(path))) for path in sorted(set(files))]
    return Table(
        "lineage",
        "What these numbers were made from",
        (Column("kind", "Kind"), Column("name", "Name"), Column("sha256", "SHA-256, first 16 digits")),
        tuple(rows),
    )
