"""The sections of the report, put together from results."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinloop.files import sha256_of
from spinloop.reporting import curves, tables
from spinloop.reporting.benchmarks import BENCHMARKS, Benchmark, benchmark_table, gap_table
from spinloop.reporting.charts import Chart
from spinloop.reporting.document import Report, Section
from spinloop.reporting.fits_tables import fits_table, refits_table, starts_table
from spinloop.reporting.occlusion import Occlusion
from spinloop.reporting.people import Sheet
from spinloop.reporting.published import Published
from spinloop.reporting.results import Setting, Split
from spinloop.reporting.table import Column, Row, Table
from spinloop.reporting.verdict import Change, compare_errors
from spinloop.reporting.viewer import Viewer

_METRICS = (
    "PA-MPJPE: mean distance of 14 joints after the best similarity (scale, turn, shift) of each person; "
    "MPJPE: the same with only the pelvis brought together; PVE: mean distance of all vertices of the mesh "
    "with the pelvis brought together. Less is better."
)
_FREE_BODY = (
    "The bodies in this report are made from Anny (code Apache-2.0, data CC0) and posed after CMU motion "
    "capture, which is free to use; nothing here is SMPL or comes from a licensed dataset. The images are "
    "rendered."
)
_LICENSED = (
    "Real SMPL files and the datasets of the paper have licences of their own, most of them for research "
    "only; whoever runs this pipeline on them must hold those licences, and results made with them fall "
    "under them."
)
_LINEAGE = (
    "Every table says from which protocol and hashes it was made. A stage cannot know the commit that will "
    "hold its output; the commit is the one whose `dvc.lock` names these hashes, with the code, parameters "
    "and data behind each (`git log -1 dvc.lock` beside this report)."
)
_MIRRORED = (
    "All numbers marked mirror (†) are of rendered people and were computed by this run; numbers marked "
    "published were printed by others about real people and are shown for orientation only."
)


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
    """The trainings; the last is compared with the first."""
    trains: Sequence[Split]
    """Training splits whose fits were measured."""
    tests: Sequence[Split]
    """Test splits."""
    starts: Mapping[str, Mapping[str, Any]]
    """Training split → its offline fits by start."""
    changes: Mapping[str, Change]
    """Test split → PA-MPJPE, last setting minus first, person by person."""
    occlusion: Mapping[str, Occlusion]
    """Test split → errors of seen and hidden joints."""
    recipe: str
    """What the trainings have in common."""
    published: Published
    """Numbers of others."""
    stats: Mapping[str, Mapping[str, Any]]
    """Name of a step → what it read and kept."""
    statuses: Mapping[str, int]
    """How the offline fits ended → people."""
    origins: Mapping[str, int]
    """Where the best fits came from after the last training → people."""
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
        *(_benchmark_section(material, benchmark) for benchmark in BENCHMARKS),
        Section("gap", "Gap to the paper", tables=(_gap(material),)),
        _fits_section(material),
        Section("figure2", "One step of the loop (Figures 2 and 3)", sheets=pictures.overview),
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
        Section("data", "Data", tables=(tables.stats_table(material.stats),)),
        Section("lineage", "Lineage", (_LINEAGE,), tables=(material.lineage,)),
        Section("licences", "Licences", (_FREE_BODY, _LICENSED) if material.is_free else (_LICENSED,)),
    )
    lead = [change_sentence(material, split) for split in material.tests if split.key in material.changes]
    lead += [dictionary_sentence(material.settings[-1], train) for train in material.trains]
    lead += [_MIRRORED] if any(split.is_mirror for split in material.tests) else []
    kept = tuple(section for section in sections if not section.is_empty)
    return Report("spinloop: model fitting in the loop, evaluated", tuple(filter(None, lead)), kept)


def change_sentence(material: Material, split: Split) -> str:
    """How the network of the last setting compares with the first one's on a test split."""
    ends = (material.settings[0], material.settings[-1])
    one, other = (f"the network trained on {setting.label}" for setting in ends)
    confidence = material.settings[0].results[split.key]["confidence"]
    sentence = compare_errors(material.changes[split.key], one, other, "PA-MPJPE", confidence)
    return f"Test images ({split.label}). {sentence}"


def dictionary_sentence(last: Setting, train: Split) -> str:
    """How the dictionary at the end of the last setting compares with the fits it began with."""
    if train.key not in last.fits:
        return ""
    fits = last.fits[train.key]
    name = "change_pa_mpjpe_mm"
    change = Change(fits[name], fits[f"{name}_low"], fits[f"{name}_high"], fits["n_compared"])
    after = f"the best fit after {fits['steps']:,} steps with {last.label}"
    sentence = compare_errors(change, "the fit it began with", after, "PA-MPJPE", fits["confidence"])
    return f"Training images ({train.label}). {sentence}"


def _benchmark_section(material: Material, benchmark: Benchmark) -> Section:
    table = benchmark_table(benchmark, material.published, material.settings, material.tests)
    paragraphs = (_METRICS, material.recipe) if benchmark.number == 1 else ()
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
    against_network = refits_table(settings, material.tests)
    found += [against_network] if against_network else []
    counts = (
        ("statuses", "How the offline fits ended", "Status", material.statuses),
        ("origins", f"Best fits after training, {settings[-1].label}", "Origin", material.origins),
    )
    found += [tables.counts_table(*words) for words in counts if words[-1]]
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


def recipe(network: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    """What the trainings have in common, in a sentence.

    Args:
        network: section `network` of the parameters.
        train: section `train` of the parameters.
    """
    return (
        f"All trainings share the network ({network['backbone']}, width {network['width']}, images of "
        f"{network['image_px']} px), its initial weights, the order and variation of the images and "
        f"{train['n_steps']:,} steps of {train['batch_size']}; they differ in the setting the tables name. "
        "The paper's network is a ResNet-50 on 224 px, started from ImageNet and trained on six datasets."
    )


def lineage_table(files: Sequence[Path], protocols: Sequence[str], sections: Mapping[str, Any]) -> Table:
    """Protocol, parameters and inputs behind the numbers, by content.

    Args:
        files: what the report was made from.
        protocols: names and versions.
        sections: name of a parameter section → its values.
    """
    rows = [Row(("protocol", protocol, "")) for protocol in protocols]
    for name, values in sections.items():
        content = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        rows.append(Row((f"params: {name}", "", hashlib.sha256(content).hexdigest()[:16])))
    rows += [Row(("input", path.as_posix(), sha256_of(path))) for path in sorted(set(files))]
    return Table(
        "lineage",
        "What these numbers were made from",
        (Column("kind", "Kind"), Column("name", "Name"), Column("sha256", "SHA-256, first 16 digits")),
        tuple(rows),
    )
