"""Which trainings are compared with each other, and what came out on each test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spinloop.reporting.results import Setting, Split, made_from
from spinloop.reporting.table import Column, Estimate, Row, Table
from spinloop.reporting.verdict import Change, compare_on, percent

METRIC_NAMES = {"pa_mpjpe_mm": "PA-MPJPE, mm", "parts_f1": "Parts F1"}


@dataclass(frozen=True)
class Comparison:
    """One training against another."""

    first: Setting
    second: Setting
    changes: Mapping[str, Change]
    """Test split → the second's error minus the first's, person by person."""


def pairs(settings: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Trainings that differ in one choice alone: with the loop against without, with 3D against without.

    Where none do, the last is compared with the first.
    """
    found = [
        (one, other)
        for choice, same in (("loop", "use_3d"), ("use_3d", "loop"))
        for one in settings
        for other in settings
        if getattr(other, choice) > getattr(one, choice) and getattr(one, same) == getattr(other, same)
    ]
    return found or [(settings[0], settings[-1])][: len(settings) - 1]


def comparison_sentences(
    comparisons: Sequence[Comparison], tests: Sequence[Split], confidence: float
) -> list[str]:
    """Each comparison over all test splits in a sentence.

    Args:
        comparisons: what was compared.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    compared = [split for split in tests if any(split.key in each.changes for each in comparisons)]
    are_mirrors = all(split.is_mirror for split in compared)
    images = "the mirrors' test images" if are_mirrors else "test images"
    sentences: list[str] = []
    for each in comparisons:
        # Commas part the names here.
        names = {
            split.key: (split.place if are_mirrors else split.label).replace(",", "") for split in compared
        }
        found = [(name, each.changes[key]) for key, name in names.items() if key in each.changes]
        sentences += compare_on(each.first.phrase, each.second.phrase, images, found, confidence)
    return sentences


def comparisons_table(
    comparisons: Sequence[Comparison], tests: Sequence[Split], confidence: float
) -> Table | None:
    """Every comparison on every test split; None if there is none.

    Args:
        comparisons: what was compared.
        tests: test splits, in the order of the tables.
        confidence: of the intervals, in (0, 1).
    """
    rows = []
    for split in tests:
        changes = [each.changes.get(split.key) for each in comparisons]
        known = [change for change in changes if change is not None]
        if known:
            digits = 3 if known[0].metric.endswith("f1") else 1
            cells = [
                None if each is None else Estimate(each.mean, each.low, each.high, digits) for each in changes
            ]
            named = (split.label, METRIC_NAMES[known[0].metric], known[0].n)
            rows.append(Row((*named, *cells), split.origin, split.dataset))
    if not rows:
        return None
    columns = [
        Column(f"{each.second.name}_minus_{each.first.name}", f"{each.second.label} minus {each.first.label}")
        for each in comparisons
    ]
    notes = (
        "The same images on both sides, person by person. Of PA-MPJPE less is better, of F1 more. Brackets: "
        f"{percent(confidence)} bootstrap interval, whole sequences resampled; one that holds 0 shows no "
        "difference. One run of each training: the interval speaks of other test images, not of another run.",
    )
    compared = {setting.name: setting for each in comparisons for setting in (each.first, each.second)}
    found = [setting.results.get(split.key) for setting in compared.values() for split in tests]
    return Table(
        "comparisons",
        "Differences between the trainings on test images",
        (Column("data", "Test images"), Column("metric", "Metric"), Column("n", "People"), *columns),
        tuple(rows),
        notes,
        made_from(*found),
    )
