"""The sections of the report, built from the results, and their fixed texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from spinloop.reporting.benchmarks import BENCHMARKS, benchmark_table, gap_table
from spinloop.reporting.breakdowns import breakdown_tables, joint_charts, occlusion_charts, part_tables
from spinloop.reporting.charts import LineChart, Series, points_of
from spinloop.reporting.differences import comparison_sentences, comparisons_table, differences_chart
from spinloop.reporting.fits import (
    counts_table,
    dictionary_charts,
    dictionary_sentence,
    fits_table,
    refits_table,
    starts_table,
)
from spinloop.reporting.inputs import ReportInputs
from spinloop.reporting.page import Report, ReportSection
from spinloop.reporting.results import TrainingResults
from spinloop.reporting.tables import Table, TableColumn, TableRow

_METRICS = (
    "PA-MPJPE: mean distance of 14 joints after Procrustes alignment (scale, rotation, translation) of each "
    "person; MPJPE: the same after aligning the pelvis only; PVE: mean distance of all vertices of the mesh "
    "after aligning the pelvis. Less is better."
)
_FREE_BODY = (
    "The bodies in this report are made from Anny (code Apache-2.0, data CC0) and posed after CMU motion "
    "capture, which is free to use; nothing here is SMPL or from a licensed dataset. The images are rendered."
)
_LICENSED = (
    "Real SMPL files and the paper's datasets have their own licences, most of them for research only. Users "
    "who run this pipeline on them must hold those licences, and their results are subject to them."
)
_LINEAGE = (
    "Every table names the protocol and the hashes of its inputs. A stage cannot know the commit that will "
    "contain its output: it is the one whose `dvc.lock` names these hashes, with the code, parameters and "
    "data behind each (`git log -1 dvc.lock`). `data/manifests` lists the files of raw data."
)
_STEP = (
    "The network predicts a body; the fit starts there and moves it to the 2D joints; in training the better "
    "of this fit and the stored one then supervises the network. These are test images, which have no stored "
    "fit; people are chosen by the rank of the change of PA-MPJPE from network to fit."
)
_MIRRORED = (
    "All numbers marked mirror (†) were measured by this run on rendered people; numbers marked published "
    "are from publications, about real people, and are given for orientation only."
)
# Column of the training curves, title, label of the vertical axis, whether it starts at zero.
_TRAINING_CHARTS = (
    ("total", "Total loss", "loss", False),
    ("keypoints_2d", "2D keypoints (loss term)", "loss", False),
    ("pose", "Pose (loss term)", "loss", False),
    ("shape", "Shape (loss term)", "loss", False),
    ("accepted", "New fits that replaced the stored one", "share of the batch", True),
    ("valid", "Fits good enough to supervise", "share of the batch", True),
    ("stored_error", "Reprojection error of the dictionary", "error, px²", False),
)


def build_report(inputs: ReportInputs) -> Report:
    """The whole report; sections without contents are left out."""
    trainings, tests, figures = inputs.trainings, inputs.tests, inputs.figures
    is_free = inputs.is_free_body and all(split.is_mirror for split in [*inputs.trains, *tests])
    sections = (
        _trainings_section(inputs),
        *_benchmark_sections(inputs),
        ReportSection("gap", "Gap to the paper", tables=(gap_table(inputs.published, trainings, tests),)),
        _fits_section(inputs),
        ReportSection(
            "figure2",
            "One step of the loop (Figures 2 and 3)",
            (_STEP,) if figures.steps else (),
            sheets=figures.steps,
        ),
        ReportSection("figure4", "Fits before and after training (Figure 4)", sheets=figures.fits),
        ReportSection(
            "figure5",
            "Predictions on test images (Figure 5)",
            sheets=figures.predictions,
            viewer=inputs.viewer,
        ),
        ReportSection("figure6", "Worst cases (Figure 6)", sheets=figures.worst),
        ReportSection(
            "errors",
            "Where the errors are",
            tables=(*part_tables(trainings, tests), *breakdown_tables(trainings, tests)),
            charts=(*joint_charts(trainings, tests), *occlusion_charts(inputs.occlusion, tests)),
        ),
        ReportSection("training", "Training", charts=training_charts(trainings)),
        ReportSection(
            "data", "Data", tables=(statistics_table(inputs.statistics, inputs.statistics_lineage),)
        ),
        ReportSection("lineage", "Lineage", (_LINEAGE,), tables=(inputs.lineage,)),
        ReportSection("licences", "Licences", (_FREE_BODY, _LICENSED) if is_free else (_LICENSED,)),
    )
    lead = comparison_sentences(inputs.comparisons, tests, inputs.confidence)
    lead += [dictionary_sentence(trainings, train) for train in inputs.trains]
    lead += [_MIRRORED] if any(split.is_mirror for split in tests) else []
    kept = tuple(section for section in sections if not section.is_empty)
    return Report("spinloop: model fitting in the loop, evaluated", tuple(filter(None, lead)), kept)


def _trainings_section(inputs: ReportInputs) -> ReportSection:
    compared = (inputs.comparisons, inputs.tests, inputs.confidence)
    table, chart = comparisons_table(*compared), differences_chart(*compared)
    return ReportSection(
        "trainings",
        "The trainings",
        (inputs.recipe, *describe_trainings(inputs.trainings)),
        () if table is None else (table,),
        () if chart is None else (chart,),
    )


def _benchmark_sections(inputs: ReportInputs) -> list[ReportSection]:
    sections = []
    for benchmark in BENCHMARKS:
        table = benchmark_table(benchmark, inputs.published, inputs.trainings, inputs.refits, inputs.tests)
        paragraphs = (_METRICS,) if benchmark.number == 1 else ()
        title = f"{benchmark.dataset} (Table {benchmark.number})"
        sections.append(ReportSection(table.key, title, paragraphs, (table,)))
    return sections


def _fits_section(inputs: ReportInputs) -> ReportSection:
    trainings, tables, charts = inputs.trainings, [], []
    for train in inputs.trains:
        if starts := inputs.starts.get(train.key):
            tables += [starts_table(starts, train), fits_table(starts, trainings, train)]
    for split in inputs.tests:
        refits = inputs.refits.get(split.key, {"n": 0})
        if refits["n"]:
            tables.append(refits_table(refits, trainings, split))
    for train in inputs.trains:
        key, name = train.key, f"({train.label})"
        if key in inputs.statuses:
            title = f"How the offline fits ended {name}"
            tables.append(counts_table(f"statuses_{key}", title, "Status", inputs.statuses[key]))
        if key in inputs.origins:
            title = f"Origin of the best fits after training {name}"
            tables.append(counts_table(f"origins_{key}", title, "Origin", inputs.origins[key]))
        charts += dictionary_charts(trainings, train)
    return ReportSection("fits", "Fits", (), tuple(tables), tuple(charts))


def training_charts(trainings: Sequence[TrainingResults]) -> tuple[LineChart, ...]:
    """Loss terms and state of the dictionary by step; terms that are always zero or absent are left out."""
    charts = []
    for column, title, unit, starts_at_zero in _TRAINING_CHARTS:
        series = tuple(
            Series(each.label, *points_of(each.history, column), each.color)
            for each in trainings
            if column in each.history and each.history[column].to_numpy().any()
        )
        if series:
            charts.append(LineChart(f"training_{column}", title, "step", unit, series, starts_at_zero))
    return tuple(charts)


def statistics_table(statistics: Mapping[str, Mapping[str, Any]], lineage: str) -> Table:
    """What each stage read, kept and left out, and what it noted about those it kept.

    Args:
        statistics: name of the stage and split → its statistics.
        lineage: hash of their files.
    """
    rows = []
    for name, numbers in statistics.items():
        reasons = [
            ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in numbers[key].items())
            for key in ("left_out", "noted")
        ]
        rows.append(
            TableRow((name, numbers["read"], numbers["kept"], *(text or "nothing" for text in reasons)))
        )
    columns = (
        TableColumn("step", "Step"),
        TableColumn("read", "Read"),
        TableColumn("kept", "Kept"),
        TableColumn("left_out", "Left out"),
        TableColumn("noted", "Noted"),
    )
    return Table("data", "What was read and what was kept", columns, tuple(rows), lineage=lineage)


def describe_trainings(trainings: Sequence[TrainingResults]) -> list[str]:
    """What each training does, one sentence each."""
    fits = {
        False: "the offline fits supervise the network from the first step to the last",
        True: "in every step a fit starts at the network's prediction and is kept where it is better",
    }
    depth = {
        False: "annotated 3D is not used",
        True: "annotated 3D joints and bodies supervise the network where an image has them",
    }
    return [
        f"{each.label[0].upper()}{each.label[1:]}: {fits[each.loop]}; {depth[each.use_3d]}."
        for each in trainings
    ]
