"""Command `validate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN, Out, ParamsFile

_FIX = "make it with `spinloop preprocess`"


def run(
    *,
    table: Annotated[Path, MAIN, Option(help="Table of annotated people (Parquet).")],
    out: Annotated[Out, Option(help="Findings, with examples (JSON).")],
    raw: Annotated[
        Path | None, Option(help="Folder of the dataset; with it, every image is looked for.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        Option(
            help="Table of a test split that must share no image with this one; may be given several "
            "times. The table itself is skipped. Or a folder: the tables of `evaluate.splits` in it, if "
            "`train.mixture` names this one."
        ),
    ] = None,
    page: Annotated[
        Out | None, Option(help="Page of random people with their joints (HTML); needs `--raw`.")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Check a table of annotated people: schema, ranges, images, sides, duplicates, overlap of splits.

    Findings are written. The command fails if the table cannot be used.
    """
    from spinloop.files import atomic, write_json
    from spinloop.params.datasets import ValidateParams
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.loader import load_section
    from spinloop.params.training import TrainParams
    from spinloop.progress import progress, say
    from spinloop.reporting.gallery import annotation_page, sample_records
    from spinloop.tables.records import ReadCounts, iterate_records
    from spinloop.tables.table import count_rows
    from spinloop.tables.validation import FATAL, validate_records

    if page is not None and raw is None:
        raise UserError("--page: the images are needed; give --raw, or leave --page out")
    tests = [path for path in against or () if not path.is_dir()]
    for folder in (path for path in against or () if path.is_dir()):
        if table.stem in load_section(params, "train", TrainParams).splits:
            splits = load_section(params, "evaluate", EvaluateParams).splits
            tests += [folder / f"{split}.parquet" for split in splits]
    counts = ReadCounts()
    rows = progress(iterate_records(table), "validate", count_rows(table, _FIX))
    validate_records(rows, raw, _images(tests, table), counts)
    stats = counts.stats()
    write_json(out, {"rows": stats["kept"], "found": stats["noted"], "examples": stats["examples"]})
    say(f"validate: {counts.summary()}")
    for finding in FATAL:
        if finding in stats["noted"]:
            count, example = stats["noted"][finding], stats["examples"][finding][0]
            raise UserError(f"{table}: {finding.replace('_', ' ')}: {count}, first {example}; see {out}")
    if page is not None and raw is not None:
        rules = load_section(params, "validate", ValidateParams)
        people = sample_records(iterate_records(table), rules.n_people, rules.seed)
        with atomic(page) as temporary:
            temporary.write_text(annotation_page(table.stem, people, raw), encoding="utf-8")


def _images(tests: Sequence[Path], table: Path) -> set[str]:
    """Images of the test splits; none if the table is one of them: protocols of a dataset share images."""
    from spinloop.tables.records import iterate_records

    return set() if table in tests else {record.image for test in tests for record in iterate_records(test)}
