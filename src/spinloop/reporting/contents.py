"""The sections of the report, put together from results."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinloop.reporting import curves, tables
from spinloop.reporting.document import Report, Section
from spinloop.reporting.people import Sheet
from spinloop.reporting.published import Published
from spinloop.reporting.results import Setting, Split
from spinloop.reporting.table import Column, Row, Table
from spinloop.reporting.verdict import Change, compare_errors

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
_MIRRORED = (
    "All numbers marked mirror are of rendered people and were computed by this run; numbers marked "
    "published were printed by others about real people and are shown for orientation only."
)


@dataclass(frozen=True)
class Material:
    """Everything that the report is made of."""

    settings: Sequence[Setting]
    """The trainings; the last is compared with the first."""
    train: Split
    """What they were trained on."""
    test: Split
    """What they were tested on."""
    change: Change
    """PA-MPJPE on the test split, last setting minus first, person by person."""
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
    figure_4: Sheet
    """Fits before and after training."""
    figure_5: Sheet
    """Predictions on test images."""
    lineage: Table
    """What the numbers were made from."""
    is_free_body: bool
    """Whether the body is the free one, not SMPL."""

    @property
    def is_free(self) -> bool:
        """Whether no licensed body and no real image is involved."""
        return self.is_free_body and self.train.is_mirror and self.test.is_mirror


def build_report(material: Material) -> Report:
    """The whole report."""
    settings, last = material.settings, material.settings[-1]
    sections = (
        Section(
            "table1",
            "Against the test images (Table 1)",
            (_METRICS, material.recipe),
            (tables.table_1(material.published, settings, material.test),),
            (curves.joints_chart(settings, material.test),),
        ),
        Section(
            "dictionary",
            "The dictionary of fits",
            (),
            (
                tables.fits_table(settings, material.train),
                tables.counts_table("statuses", "How the offline fits ended", "Status", material.statuses),
                tables.counts_table(
                    "origins", f"Best fits after training, {last.label}", "Origin", material.origins
                ),
            ),
            curves.dictionary_charts(settings),
        ),
        Section("figure4", "Fits before and after training (Figure 4)", sheets=(material.figure_4,)),
        Section("figure5", "Predictions on test images (Figure 5)", sheets=(material.figure_5,)),
        Section("training", "Training", charts=curves.training_charts(settings)),
        Section("data", "Data", tables=(tables.stats_table(material.stats),)),
        Section("lineage", "Lineage", tables=(material.lineage,)),
        Section("licences", "Licences", (_FREE_BODY, _LICENSED) if material.is_free else (_LICENSED,)),
    )
    lead = [test_sentence(material), dictionary_sentence(last, material.train)]
    lead += [_MIRRORED] if material.test.is_mirror else []
    return Report("spinloop: model fitting in the loop, evaluated", tuple(lead), sections)


def test_sentence(material: Material) -> str:
    """How the network of the last setting compares with the first one's on the test split."""
    ends = (material.settings[0], material.settings[-1])
    one, other = (f"the network trained on {setting.label}" for setting in ends)
    confidence = material.settings[0].metrics["confidence"]
    sentence = compare_errors(material.change, one, other, "PA-MPJPE", confidence)
    return f"Test images ({material.test.label}). {sentence}"


def dictionary_sentence(last: Setting, train: Split) -> str:
    """How the dictionary at the end of the last setting compares with the fits it began with."""
    fits = last.fits
    name = "change_pa_mpjpe_mm"
    change = Change(fits[name], fits[f"{name}_low"], fits[f"{name}_high"], fits["n_compared"])
    after = f"the best fit after {fits['steps']:,} steps with {last.label}"
    sentence = compare_errors(change, "the fit from the mean pose", after, "PA-MPJPE", fits["confidence"])
    return f"Training images ({train.label}). {sentence}"


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


def lineage_table(files: Sequence[Path], protocol: str, sections: Mapping[str, Any]) -> Table:
    """Protocol, parameters and inputs behind the numbers, by content.

    Args:
        files: what the report was made from.
        protocol: name and version.
        sections: name of a parameter section → its values.
    """
    rows = [Row(("protocol", protocol, ""))]
    for name, values in sections.items():
        content = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        rows.append(Row((f"params: {name}", "", hashlib.sha256(content).hexdigest()[:16])))
    rows += [Row(("input", path.as_posix(), _digest(path))) for path in sorted(set(files))]
    return Table(
        "lineage",
        "What these numbers were made from",
        (Column("kind", "Kind"), Column("name", "Name"), Column("sha256", "SHA-256, first 16 digits")),
        tuple(rows),
        ("The code, parameters and data behind each input stand in `dvc.lock` of the same commit.",),
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
